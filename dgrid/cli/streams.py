"""This process's own streams, or its terminal, joined to a command in a host of a lab."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import termios
import threading
import tty
import uuid
from collections.abc import Iterator
from typing import Any

from dgrid.lab.execute import Command, Execution, interrupt, interruptible, pump, start, write_all
from dgrid.lab.machine import Machine

_INTERRUPTED = 130


def join_streams(machine: Machine, container_id: str, command: Command) -> int:
    """Runs the command with file descriptors 0, 1 and 2 as its streams; gives its exit code.

    ctrl-C on a terminal goes to the command as a key. Without one, it ends the command and gives 130.
    """
    mark = uuid.uuid4().hex
    execution = start(machine, container_id, command if command.tty else interruptible(command, mark))
    with _terminal(execution) if command.tty else contextlib.nullcontext():
        try:
            threading.Thread(target=pump, args=(0, execution), daemon=True).start()
            for kind, content in execution.output():
                write_all(kind, content)
            return execution.exit_code()
        except (KeyboardInterrupt, BrokenPipeError) as error:
            interrupt(machine, container_id, mark)
            return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 128 + signal.SIGPIPE


@contextlib.contextmanager
def _terminal(execution: Execution) -> Iterator[None]:
    """Every key goes to the command, and its terminal has this one's size, until the command ends."""

    def resize(*_signal: Any) -> None:
        size = shutil.get_terminal_size()
        execution.resize(size.lines, size.columns)

    before = termios.tcgetattr(sys.stdin)
    signal.signal(signal.SIGWINCH, resize)
    tty.setraw(sys.stdin)
    try:
        resize()
        yield
    finally:
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
