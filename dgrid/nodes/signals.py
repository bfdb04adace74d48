"""Signals that end the run, are for its head or suspend it, and the terminal's changes of size: entries of queues."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Any

from dgrid.errors import Stopped
from dgrid.record import record

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FOR_THE_HEAD = (signal.SIGUSR1, signal.SIGUSR2)


@record
class Suspended:
    """The batch system, or ctrl-Z, wants the run suspended (SIGTSTP)."""


@record
class Continued:
    """The run goes on (SIGCONT); it may have been stopped without a word (SIGSTOP)."""


class StopSignals:
    """Remembers what was received and wakes whoever waits. ``for_head`` are signals to be passed to the head.

    ``is_ahead`` says that dgrid ends the run by itself, ahead of its job's end: no batch system is about to kill it.

    A handler only notes the signal and puts None into the queues that listen (SimpleQueue.put is reentrant), so the
    main thread is never torn out of the middle of something: it looks at ``check`` where it waits.
    """

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []
        self.first_at: float | None = None
        self.for_head: list[signal.Signals] = []
        self.is_ahead = False
        self._listeners: list[SimpleQueue[Any]] = []

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within it TERM, INT, HUP, and USR1 and USR2 are noted here. Only from the main thread.

        HUP only where it is not ignored: under nohup it is to have no effect.
        """
        ending = [one for one in _ENDING if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in ending}
        before |= {number: signal.signal(number, self._note_for_head) for number in _FOR_THE_HEAD}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def waking(self, queue: SimpleQueue[Any]) -> Iterator[None]:
        """Within it each signal puts None into ``queue``."""
        self._listeners.append(queue)
        try:
            yield
        finally:
            self._listeners.remove(queue)

    @contextmanager
    def suspending(self, queue: SimpleQueue[Any]) -> Iterator[None]:
        """Within it TSTP and CONT put Suspended and Continued into ``queue``. Only from the main thread."""
        before = {
            signal.SIGTSTP: signal.signal(signal.SIGTSTP, lambda _number, _frame: queue.put(Suspended())),
            signal.SIGCONT: signal.signal(signal.SIGCONT, lambda _number, _frame: queue.put(Continued())),
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def check(self) -> None:
        """Raise Stopped for the first signal received, if there was one."""
        if self.received:
            raise Stopped(self.received[0], self.received[0].name)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(signal.Signals(number))
        self.first_at = self.first_at or time.monotonic()
        self._wake()

    def _note_for_head(self, number: int, _frame: FrameType | None) -> None:
        self.for_head.append(signal.Signals(number))
        self._wake()

    def _wake(self) -> None:
        for queue in self._listeners:
            queue.put(None)


@contextmanager
def on_resize(queue: SimpleQueue[Any], entry: object) -> Iterator[None]:
    """Within it each change of the terminal's size puts ``entry`` into ``queue``."""
    before = signal.signal(signal.SIGWINCH, lambda _number, _frame: queue.put(entry))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
