"""The same action for several hosts at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_WORKERS = 16
_LOOK_S = 0.1
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def in_parallel(
    action: Callable[[T], R],
    items: tuple[T, ...],
    heard: Callable[[T, R], None] = lambda _item, _result: None,
    workers: int = _WORKERS,
    broken_off: Callable[[], None] = lambda: None,
) -> list[R]:
    """``in_parallel(len, ("a", "bc")) == [1, 2]``: results in order; ``heard`` is told each as soon as it is its turn.

    The first error, or what a signal's handler raises, is raised after all that were begun have ended; ``broken_off``
    is called first, and may have them end sooner.
    """
    with _signals_noted() as let_in, ThreadPoolExecutor(workers) as pool:
        try:
            futures = [pool.submit(action, item) for item in items]
            for item, future in zip(items, futures, strict=True):
                while not future.done():
                    let_in()
                    wait((future,), _LOOK_S)  # a signal that arrives in the moment before a wait does not end it
                heard(item, future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            broken_off()
            raise
        return [future.result() for future in futures]


@contextmanager
def _signals_noted() -> Iterator[Callable[[], None]]:
    """Within it a signal with a handler is noted only; the handler runs in the call of what this gives, or at its end.

    One that raises anywhere else could leave a lock taken which a worker needs, and which would be waited for for ever.
    After the first one all is as before: who wants to be out at once can be.
    """
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)

    def put_back() -> None:
        for number, handler in handlers.items():
            if signal.getsignal(number) is note:  # else one of them has run, and set others
                signal.signal(number, handler)

    def let_in() -> None:
        if noted:
            number = noted[0]
            noted.clear()
            put_back()
            handlers[number](number, None)

    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers, nor runs any
    found = {number: signal.getsignal(number) for number in _ENDING if is_main}
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {
        number: each for number, each in found.items() if callable(each)
    }
    try:
        for number in handlers:
            signal.signal(number, note)
        yield let_in
    finally:
        put_back()
        let_in()
