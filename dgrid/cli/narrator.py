"""How the story of a run looks on stderr."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click


class StderrNarrator:
    """A Narrator: one line a phase, with the time it took once it is over; on a terminal it is there from its start.

    ``write`` takes the text, line ends and all, to its place; without it that is stderr.
    """

    def __init__(self, quiet: bool, live: bool, write: Callable[[str], None] | None = None) -> None:
        self._quiet = quiet
        self._write = write or (lambda text: say(text, end=""))
        self._live = live
        # A terminal session of the head container has put the terminal into raw mode, where a line feed is only that.
        self._line_end = "\r\n" if live else "\n"
        self._open: tuple[str, float] | None = None
        self._finishing = threading.Lock()

    def phase(self, text: str) -> None:
        self._finish()
        if not self._quiet:
            self._open = (text, time.monotonic())
            if self._live:
                self._write(f"dgrid: {text} ...")

    def milestone(self, text: str) -> None:
        self._finish()
        if not self._quiet:
            self._line(f"dgrid: {text}")

    def note(self, text: str) -> None:
        self._finish()
        for line in text.splitlines():
            self._line(f"dgrid: {line}")

    def output(self, title: str, text: str) -> None:
        self._finish()
        self._line(f"dgrid: {title}:")
        for line in text.splitlines() or ["(nothing)"]:
            self._line(f"  | {visible(line)}")

    def close(self) -> None:
        """The story is over: write out the phase under way."""
        self._finish()

    def _finish(self) -> None:
        with self._finishing:
            finished, self._open = self._open, None
        if finished is None:
            return
        text, since = finished
        start = "\r\x1b[K" if self._live else ""
        self._line(f"{start}dgrid: {text} ({time.monotonic() - since:.1f} s)")

    def _line(self, text: str) -> None:
        self._write(text + self._line_end)


def say(text: str, end: str = "\n") -> None:
    """Write to stderr if anybody is there: a terminal that has gone must not keep a run from cleaning up."""
    try:
        click.echo(text + end, err=True, nl=False)
    except OSError:
        # What is still in the buffer would fail again at exit, and change the exit code.
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # it is to stay open


def visible(line: str) -> str:
    """``line`` without the control characters that would move a terminal's cursor or change its colours."""
    return "".join(letter if letter.isprintable() or letter == "\t" else repr(letter)[1:-1] for letter in line)
