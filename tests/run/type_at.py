"""Runs on a lab node: a person at a terminal, who starts dgrid, types, and changes the window's size.

    python3 type_at.py COMMAND...

Prints all that the terminal showed, and ends with the command's exit code.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time


def main() -> int:
    process, terminal = pty.fork()
    if process == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    resize(terminal, 40, 100)
    shown = read_until(terminal, b"", b"$ ")
    for rows, columns, line, answer in (
        (40, 100, b"stty size\n", b"40 100"),
        (50, 120, b"stty size\n", b"50 120"),
        (50, 120, b"sleep 99\n", b"sleep 99"),
        (50, 120, b"\x03echo code $?\n", b"code 130"),  # ctrl-C is for the container
        (50, 120, b"\x10\x11\x15echo still $((40 + 2))\n", b"still 42"),  # ctrl-P ctrl-Q detaches nobody
        (50, 120, b"exit 9\n", b"never"),
    ):
        resize(terminal, rows, columns)
        time.sleep(1)
        os.write(terminal, line)
        shown = read_until(terminal, shown, answer)
    sys.stdout.buffer.write(shown)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_until(terminal: int, shown: bytes, text: bytes) -> bytes:
    """Until ``text`` is shown anew, twenty seconds are over, or the terminal has gone."""
    start, end = len(shown), time.monotonic() + 20
    while text not in shown[start:]:
        if time.monotonic() > end or not select.select([terminal], [], [], 20)[0]:
            break
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            break
    return shown


sys.exit(main())
