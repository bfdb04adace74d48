"""The one place for trying again: errors marked transient, in calls that may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dgrid.errors import DgridError, RegistryBusy

_T = TypeVar("_T")


def retry(call: Callable[[], _T], attempts: int = 6, first_wait_s: float = 0.2, longest_wait_s: float = 3.0) -> _T:
    """``retry(lambda: connect(node))``: up to ``attempts`` tries, with growing random waits between them.

    The waits are random so that many connections that one sshd refused at once do not come back at once.
    An error that says how long to wait (RegistryBusy) is waited for at least so long. Raises the last error.
    """
    import tenacity

    growing = tenacity.wait_random_exponential(multiplier=first_wait_s, max=longest_wait_s)

    def wait_s(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return max(growing(state), error.wait_s if isinstance(error, RegistryBusy) else 0.0)

    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, DgridError) and error.transient),
        wait=wait_s,
        stop=tenacity.stop_after_attempt(attempts),
        reraise=True,
    ):
        with attempt:
            return call()
    raise AssertionError("tenacity ends by returning or raising")
