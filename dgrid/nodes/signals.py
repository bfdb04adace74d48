"""Signals that end the run, and the terminal's changes of size, turned into entries of queues."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Any

from dgrid.errors import Stopped

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopSignals:
    """Remembers what was received and wakes whoever waits.

    A handler only notes the signal and puts None into the queues that listen (SimpleQueue.put is reentrant), so the
    main thread is never torn out of the middle of something: it looks at ``check`` where it waits.
    """

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []
        self.first_at: float | None = None
        self._listeners: list[SimpleQueue[Any]] = []

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within it TERM, INT and HUP are noted here. Only from the main thread."""
        before = {number: signal.signal(number, self._note) for number in _ENDING}
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

    def check(self) -> None:
        """Raise Stopped for the first signal received, if there was one."""
        if self.received:
            raise Stopped(self.received[0], self.received[0].name)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(signal.Signals(number))
        self.first_at = self.first_at or time.monotonic()
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
