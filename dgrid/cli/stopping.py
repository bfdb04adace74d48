"""Signals while something is being made: what was begun is removed first."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dgrid.errors import Stopped

_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopping(signals: Sequence[signal.Signals] = _ALL) -> Iterator[None]:
    """Within it the first of the signals raises Stopped, and further ones are ignored. Only from the main thread."""

    def stop(number: int, _frame: Any) -> None:
        for each in signals:
            # What was begun is being removed: that takes two seconds. Not SIG_IGN: of a signal that came together with
            # the first, Python would print that it cannot be handled.
            signal.signal(each, lambda *_: None)
        raise Stopped(number, signal.Signals(number).name)

    before = [(number, signal.signal(number, stop)) for number in signals]
    yield
    # Not after an error, such as Stopped: the process is about to end, and has to say so.
    for number, action in before:
        signal.signal(number, action)
