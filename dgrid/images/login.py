"""Registry logins that cannot be had: a credential helper that is missing or fails."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from dgrid.errors import EngineError, ImageError

_STORE = "Credentials store error: "


@contextmanager
def logins_told(node: str) -> Iterator[None]:
    """Within it, a login that the docker SDK cannot read is told as what it is: nothing of the engine's."""
    try:
        with warnings.catch_warnings():
            # The SDK says so of a missing helper, too, before it raises.
            warnings.filterwarnings("ignore", message="docker-credential-")
            yield
    except EngineError as error:
        _, found, words = error.what.partition(_STORE)
        if not found:
            raise
        reason = re.sub(r"""^\w+\(['"](.*)['"]\)$""", r"\1", words)
        raise ImageError(
            node,
            f"your registry logins cannot be read ({reason}) — ~/.docker/config.json names that helper "
            "(credHelpers, credsStore): install it, or log in again",
        ) from error
