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
from dataclasses import replace
from typing import Any

from dgrid.lab.execute import Command, Execution, pump, send_signal, start, write_all
from dgrid.lab.machine import Machine

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def join_streams(machine: Machine, container_id: str, command: Command) -> int:
    """Runs the command with file descriptors 0, 1 and 2 as its streams; gives its exit code.

    On a terminal each key goes to the command, ctrl-C too. Without one, INT, TERM and HUP are passed on to it and to
    what it has started; the second one kills it. When nobody reads the output any more it gets PIPE.
    """
    mark = ("DGRID_LAB_RUN", uuid.uuid4().hex)
    # By way of a shell, as the engine would report a command that does not exist on stdout.
    argv = ("/bin/sh", "-c", 'exec "$@"', "lab", *command.argv)
    marked = replace(command, argv=argv, environment=(*command.environment, mark))
    signals = _Signals(machine, container_id, "=".join(mark))
    execution = start(machine, container_id, marked)
    with _terminal(execution) if command.tty else signals.forwarded():
        threading.Thread(target=pump, args=(0, execution), daemon=True).start()
        try:
            for kind, content in execution.output():
                write_all(kind, content)
        except BrokenPipeError:
            signals.send("PIPE")
            return 128 + signal.SIGPIPE
        return execution.exit_code()


class _Signals:
    """Passes this process's signals on to the marked command."""

    def __init__(self, machine: Machine, container_id: str, setting: str) -> None:
        self._target = (machine, container_id)
        self._setting = setting
        self._sent = 0

    def send(self, name: str) -> None:
        machine, container_id = self._target
        send_signal(machine, container_id, name, self._setting)

    def _forward(self, signum: int, _frame: Any) -> None:
        self._sent += 1
        self.send(signal.Signals(signum).name.removeprefix("SIG") if self._sent == 1 else "KILL")

    @contextlib.contextmanager
    def forwarded(self) -> Iterator[None]:
        before = [(signum, signal.signal(signum, self._forward)) for signum in _FORWARDED]
        try:
            yield
        finally:
            for signum, action in before:
                signal.signal(signum, action)


@contextlib.contextmanager
def _terminal(execution: Execution) -> Iterator[None]:
    """Every key goes to the command, and its terminal has this one's size, until the command ends."""

    def resize(*_signal: Any) -> None:
        size = shutil.get_terminal_size()
        execution.resize(size.lines, size.columns)

    before = termios.tcgetattr(sys.stdin)
    signal.signal(signal.SIGWINCH, resize)
    # Not the default TCSAFLUSH: it would drop what was typed ahead.
    tty.setraw(sys.stdin, termios.TCSADRAIN)
    try:
        resize()
        yield
    finally:
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
