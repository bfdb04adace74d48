"""What the user asked for."""

from __future__ import annotations

from pathlib import Path

from dgrid.config import Settings
from dgrid.plan.allocation import Allocation, Submitter
from dgrid.plan.definition import Definition, PullPolicy
from dgrid.record import record


@record
class Order:
    """What the user asked for: everything a run depends on besides the nodes themselves."""

    definition: Definition
    allocation: Allocation
    submitter: Submitter
    session: str
    settings: Settings
    oversubscribe: bool = False
    pull: PullPolicy | None = None
    allow_different_images: bool = False
    log_dir: Path | None = None
