"""The three streams dgrid was started with, and what makes a terminal session of them."""

from __future__ import annotations

import contextlib
import os
import termios
import tty
from collections.abc import Iterator

from dgrid.nodes.outlet import Outlets
from dgrid.record import record


@record
class Streams:
    """File descriptors of stdin, stdout, stderr; ``outlets`` is the way to the last two for what must not block."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2
    outlets: Outlets | None = None

    def are_terminal(self) -> bool:
        """Whether there is a terminal on both sides."""
        return all(_is_terminal(descriptor) for descriptor in (self.stdin, self.stdout))


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


@contextlib.contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """Within it the terminal passes every key on as it is, ctrl-C included; afterwards it is as before."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)  # not TCSAFLUSH, which drops what was typed ahead
        yield
    finally:
        with contextlib.suppress(termios.error):  # it has gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def size(descriptor: int) -> tuple[int, int]:
    """(rows, columns) of the terminal."""
    found = os.get_terminal_size(descriptor)
    return found.lines, found.columns
