"""Runs on a lab node: a person at a terminal of 40 lines and 100 columns, who waits for a text and then types.

    python3 look_at.py '[["text to wait for", "keys to type"], ...]' COMMAND...

Keys "RESIZE" make the window 50 lines by 120 columns. Prints all that the terminal showed, and ends with the command's
exit code.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time


def main() -> int:
    steps = json.loads(sys.argv[1])
    process, terminal = pty.fork()
    if process == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    resize(terminal, 40, 100)
    shown = b""
    for text, keys in steps:
        shown = read_until(terminal, shown, text.encode())
        if keys == "RESIZE":
            resize(terminal, 50, 120)
            time.sleep(0.5)
        else:
            os.write(terminal, keys.encode())
    sys.stdout.buffer.write(read_until(terminal, shown, b"\0never"))
    os.close(terminal)  # whoever has not ended by now is hung up
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_until(terminal: int, shown: bytes, text: bytes) -> bytes:
    """Until ``text`` is shown anew, twenty seconds are over, or the terminal has gone."""
    start, end = len(shown), time.monotonic() + 20
    while text not in shown[start:] and select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            break
    return shown


sys.exit(main())
