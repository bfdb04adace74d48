"""Runs on a lab node: starts dgrid on a terminal and sends it a signal as soon as it says a text.

    python3 interrupt_at.py SIGNAL TEXT COMMAND...

With CLOSE for SIGNAL the terminal goes away, as when a window is closed or a connection breaks.

dgrid announces a phase on a terminal when it begins, so the signal lands within that phase. Ends with the command's
exit code, and prints what it said.
"""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios


def main() -> int:
    what, text, command = sys.argv[1], sys.argv[2].encode(), sys.argv[3:]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command, stdin=slave, stdout=subprocess.DEVNULL, stderr=slave, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(slave)
    said, sent = b"", False
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # the terminal's last user has gone
            break
        said += data
        if text in said and not sent:
            sent = True
            if what == "CLOSE":
                os.close(master)
                break
            process.send_signal(getattr(signal, what))
    sys.stdout.buffer.write(said)
    print("sent" if sent else "never said", text.decode())
    return process.wait()


sys.exit(main())
