"""What `dgrid reap` asks of an engine of this machine, whichever it is, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dgrid.errors import EngineTimeout
from dgrid.plan.reaping import Found
from dgrid.record import record


@record
class Deadline:
    """``Deadline(time.monotonic() + 20)``: when all must be over, whatever the engines do."""

    at: float

    def left_s(self) -> float:
        """The time that is left, 0 when it is over."""
        return max(0.0, self.at - time.monotonic())

    def call_s(self, node: str, action: str) -> float:
        """The time a call may take. Raises EngineTimeout when there is none."""
        if (left_s := self.left_s()) <= 0:
            raise EngineTimeout(node, f"the time is over; wanted to {action}")
        return left_s

    def sleep(self, seconds: float) -> None:
        """Sleep so long, but not beyond the deadline."""
        time.sleep(min(seconds, self.left_s()))


@record
class Removal:
    """What came of removing some objects: those that this call removed, and why others were not, by their id.

    What somebody else is removing at the same time is in neither.
    """

    removed: tuple[Found, ...]
    failed: tuple[tuple[str, str], ...] = ()


class ReapableEngine(Protocol):
    """An engine of this machine. Every call ends before the deadline it was made with, and raises EngineError."""

    title: str
    """What messages call it: ``Docker``, ``Podman of alice``."""

    def found(self) -> tuple[Found, ...]:
        """All objects that carry a run's marks: containers, then networks."""

    def pid(self, container: Found) -> int:
        """The process of a running container, as the engine numbers it; 0 when it does not run."""

    def remove_containers(self, containers: Sequence[Found]) -> Removal:
        """Kill and remove containers, with their anonymous volumes."""

    def remove_networks(self, networks: Sequence[Found]) -> Removal:
        """Remove networks."""


@record
class Left:
    """Something that is still there, and why. ``found`` is None for a whole engine that could not be asked."""

    engine: str
    found: Found | None
    why: str


@dataclass(slots=True)
class Reaped:
    """What was removed from one engine, and what is left there, as far as is known."""

    engine: str
    removed: list[Found] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


@record
class Circumstances:
    """Where and how to reap: this machine's name, when all must be over, the uid of a user's name (None: no such
    user), and whether only to tell."""

    host: str
    deadline: Deadline
    uid_of: Callable[[str], int | None]
    dry_run: bool = False
