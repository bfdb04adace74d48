"""All reasons why there is no plan, in one error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dgrid.errors import PlanError


class Reasons:
    """Gathers the PlanErrors of several decisions, so that the user sees all of them at once.

    ``with reasons.gather(): decide()`` goes on after a PlanError; ``reasons.raise_all()`` raises one PlanError with
    a line for each different reason, or does nothing where there was none.
    """

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Keep the PlanError raised inside for later."""
        try:
            yield
        except PlanError as error:
            self._texts.update(dict.fromkeys(str(error).splitlines()))

    def extend(self, texts: Iterable[str]) -> None:
        """Add reasons that were returned rather than raised."""
        self._texts.update(dict.fromkeys(texts))

    def raise_all(self) -> None:
        """Raise what was gathered as one PlanError."""
        if self._texts:
            raise PlanError("\n".join(self._texts))
