"""The end of a run's output: its reader gets all of it, or the user is told what the reader did not get."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from dgrid.errors import OutputError
from dgrid.nodes.outlet import Outlets
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.terminal import Streams

_PATIENCE_S = 2.0
_LOOK_S = 0.1


@contextmanager
def delivered(streams: Streams, stop: StopSignals, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """When it is left, the readers of stdout and stderr have got all.

    A signal ends the waiting; if it came before, all must be delivered within ``patience_s``. After that time the user
    is told, too, what is waited for.

    Raises OutputError when it cannot be written, Stopped for a signal that ended the waiting.
    """
    outlets = streams.outlets
    if outlets is None:
        yield
        return
    try:
        yield
    except BaseException:
        _wait_to_the_end(outlets, stop, patience_s)
        raise
    failure = _wait_to_the_end(outlets, stop, patience_s)
    if failure is not None:
        raise failure
    if any(outlet.pending for outlet in outlets.all):
        stop.check()


def _wait_to_the_end(outlets: Outlets, stop: StopSignals, patience_s: float) -> OutputError | None:
    try:
        if not _is_delivered(outlets, stop, patience_s):
            _tell_what_is_lost(outlets, patience_s)
    except OutputError as error:
        return error
    return None


def _is_delivered(outlets: Outlets, stop: StopSignals, patience_s: float) -> bool:
    outlets.lift()
    began, before, told = time.monotonic(), len(stop.received), False
    while not outlets.settle(_LOOK_S):
        waited_s = time.monotonic() - began
        if len(stop.received) > before or (before and waited_s > patience_s):
            return False
        if waited_s > patience_s and not told:
            told = True
            for name, pending in _waiting(outlets):
                outlets.remark(f"waiting until the reader of {name} has taken the last {pending:,} bytes")
    return True


def _tell_what_is_lost(outlets: Outlets, patience_s: float) -> None:
    besides = "" if outlets.has_spool else ", nor what the container engine still held"
    for name, pending in _waiting(outlets):
        outlets.remark(f"the last {pending:,} bytes of {name} were not delivered to their reader{besides}")
    outlets.leave_stderr(patience_s)


def _waiting(outlets: Outlets) -> list[tuple[str, int]]:
    return [(outlet.name, outlet.pending) for outlet in outlets.all if outlet.pending]
