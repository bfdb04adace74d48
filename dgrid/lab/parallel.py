"""The same action for several hosts at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

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
    with _signals_held() as let_in, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(action, item) for item in items]
        try:
            for item, future in zip(items, futures, strict=True):
                while not future.done():
                    let_in()
                    wait((future,), _LOOK_S)
                heard(item, future.result())
        except BaseException:
            for future in futures:
                future.cancel()
            broken_off()
            raise
    return [future.result() for future in futures]


@contextmanager
def _signals_held() -> Iterator[Callable[[], None]]:
    """Within it INT, TERM and HUP reach this thread, and those it starts, only in the call of what it gives.

    Anywhere else a handler that raises would leave a lock taken that a worker waits for for ever. Nor would it run
    at once: a signal that arrives in the moment before the main thread waits for a lock does not wake it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)

    def let_in() -> None:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)

    try:
        yield let_in
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
