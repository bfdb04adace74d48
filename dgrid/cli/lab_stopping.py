"""INT, TERM and HUP while something of a lab is being made: what was begun is removed first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dgrid.errors import Stopped

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopping() -> Iterator[None]:
    """Within it the first of the signals raises Stopped, and further ones are ignored. Only from the main thread."""
    before = [(signum, signal.signal(signum, _stop)) for signum in _STOPPING]
    yield
    # Not after an error, such as Stopped: the process is about to end, and has to say so.
    for signum, action in before:
        signal.signal(signum, action)


def _stop(signum: int, _frame: Any) -> None:
    for each in _STOPPING:
        signal.signal(each, _no_more)
    raise Stopped(signum, signal.Signals(signum).name)


def _no_more(_signum: int, _frame: Any) -> None:
    """What was begun is being removed: that takes two seconds. Not SIG_IGN: of a signal that came together with the
    first, Python would print that it cannot be handled."""
