"""The same work on many nodes at once: an outcome for each, and no node hides another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from dgrid.errors import ManyNodesError, NodeError
from dgrid.nodes.signals import StopSignals
from dgrid.record import record

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")
_LATE_POLL_S = 0.1


@record
class Outcome(Generic[_Item, _Value]):
    """What the work on ``item`` came to: exactly one of ``value`` and ``error`` counts."""

    item: _Item
    value: _Value | None
    error: Exception | None


def fan_out(
    items: Sequence[_Item],
    work: Callable[[_Item], _Value],
    parallel: int,
    stop: StopSignals | None = None,
    late: Callable[[_Item], NodeError | None] = lambda _item: None,
) -> tuple[Outcome[_Item, _Value], ...]:
    """``fan_out(nodes, check, 32, stop)``: run ``work`` on each item, ``parallel`` at a time; outcomes in item order.

    Raises Stopped as soon as a signal is noted in ``stop``; work under way then goes on unheeded in its threads
    (every call has its deadline), and none is begun. Errors other than NodeError are bugs and raised:
    at once, or without ``stop``, which is a clean-up, when all else is done.
    ``late`` is asked, while an item's work lasts, for the error to give it up with.
    """
    if stop is not None:
        stop.check()
    waiting: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[tuple[int, Outcome[_Item, _Value]] | None] = SimpleQueue()
    for index in range(len(items)):
        waiting.put(index)
    for _ in range(min(max(parallel, 1), len(items))):
        # Daemons, since a thread stuck in a call must not keep the process alive.
        threading.Thread(target=_work_off, args=(waiting, done, items, work), daemon=True).start()
    outcomes: dict[int, Outcome[_Item, _Value]] = {}
    try:
        with nullcontext() if stop is None else stop.waking(done):
            _collect(done, outcomes, items, stop, late)
    finally:
        _drain(waiting)
    return tuple(outcomes[index] for index in range(len(items)))


class Meanwhile(Generic[_Value]):
    """Work in a thread of its own: it begins with ``meeting = Meanwhile(meet)``, ``meeting.result()`` waits for it."""

    def __init__(self, work: Callable[[], _Value]) -> None:
        self._work = work
        self._value: _Value | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, stop: StopSignals | None = None) -> _Value:
        """What it came to. Raises what it raised; Stopped as soon as a signal is noted in ``stop``."""
        while self._thread.is_alive():
            if stop is not None:
                stop.check()
            self._thread.join(_LATE_POLL_S)
        if self._error is not None and stop is not None:
            stop.check()  # the signal itself may have brought it about
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # no error: there is a value

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001  # whatever it is, it must reach the thread that waits for it
            self._error = error


def values_of(outcomes: Sequence[Outcome[_Item, _Value]]) -> tuple[_Value, ...]:
    """The values if all went well; else ManyNodesError with every error (or the error itself, if it is one)."""
    raise_all(errors_of(outcomes))
    return tuple(outcome.value for outcome in outcomes)  # type: ignore[misc]  # no error: each has its value


def raise_all(errors: Sequence[NodeError]) -> None:
    """Nothing for none, the error itself for one, ManyNodesError for more."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ManyNodesError(tuple(errors))


def errors_of(outcomes: Sequence[Outcome[_Item, _Value]]) -> tuple[NodeError, ...]:
    """The errors among the outcomes, in item order."""
    return tuple(outcome.error for outcome in outcomes if isinstance(outcome.error, NodeError))


def _work_off(
    waiting: SimpleQueue[int],
    done: SimpleQueue[tuple[int, Outcome[_Item, _Value]] | None],
    items: Sequence[_Item],
    work: Callable[[_Item], _Value],
) -> None:
    while True:
        try:
            index = waiting.get_nowait()
        except Empty:
            return
        try:
            outcome: Outcome[_Item, _Value] = Outcome(items[index], work(items[index]), None)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must reach the thread that waits for it
            outcome = Outcome(items[index], None, error)
        done.put((index, outcome))


def _collect(
    done: SimpleQueue[tuple[int, Outcome[_Item, _Value]] | None],
    outcomes: dict[int, Outcome[_Item, _Value]],
    items: Sequence[_Item],
    stop: StopSignals | None,
    late: Callable[[_Item], NodeError | None],
) -> None:
    bug: Exception | None = None
    while len(outcomes) < len(items):
        if stop is not None:
            stop.check()
        try:
            entry = done.get(timeout=_LATE_POLL_S)
        except Empty:
            given_up = ((index, item, late(item)) for index, item in enumerate(items) if index not in outcomes)
            outcomes |= {index: Outcome(item, None, error) for index, item, error in given_up if error is not None}
            continue
        if entry is None:
            continue
        index, outcome = entry
        if outcome.error is not None and not isinstance(outcome.error, NodeError):
            if stop is not None:
                raise outcome.error
            bug = bug or outcome.error  # without a signal to heed, this is a clean-up: the other items first
        if outcome.error is not None and stop is not None:
            stop.check()  # the signal itself may have brought it about
        outcomes[index] = outcome
    if bug is not None:
        raise bug


def _drain(queue: SimpleQueue[int]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
