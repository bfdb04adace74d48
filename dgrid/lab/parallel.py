"""The same action for several hosts at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_WORKERS = 16


def in_parallel(action: Callable[[T], R], items: tuple[T, ...]) -> list[R]:
    """``in_parallel(len, ("a", "bc")) == [1, 2]``: results in order; the first error is raised after all have ended."""
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        return list(pool.map(action, items))
