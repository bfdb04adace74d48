"""The one place for trying again: errors marked transient, in calls that may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dgrid.errors import DgridError

_T = TypeVar("_T")


def retry(call: Callable[[], _T], attempts: int = 6, first_wait_s: float = 0.2) -> _T:
    """``retry(lambda: connect(node))``: up to ``attempts`` tries, with growing random waits between them.

    The waits are random so that many connections that one sshd refused at once do not come back at once.
    Raises the last error.
    """
    import tenacity

    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, DgridError) and error.transient),
        wait=tenacity.wait_random_exponential(multiplier=first_wait_s, max=3),
        stop=tenacity.stop_after_attempt(attempts),
        reraise=True,
    ):
        with attempt:
            return call()
    raise AssertionError("tenacity ends by returning or raising")
