"""What the check of a node found out, as far as the plan depends on it."""

from __future__ import annotations

from enum import Enum

from dgrid.plan.job_limits import NOTHING, Affinity, JobLimits
from dgrid.record import record


class EngineKind(Enum):
    """Which container engine a node runs."""

    DOCKER = "docker"
    PODMAN = "podman"


@record
class NodeFacts:
    """``address`` is the node's IP as the other nodes reach it, None if it was not learnt.

    ``rootless``: the engine runs as the submitter and maps ids. ``has_init``: the engine has an init process to put
    in front of commands. ``swarm_managers``: node ids of the managers of the swarm the engine is an active member
    of, empty if it is in none; ``is_manager`` says whether it is one itself. ``job_limits`` are what containers there
    get of the job's; ``affinity`` the CPUs that are there, None where that was not learnt.
    """

    engine: EngineKind = EngineKind.DOCKER
    rootless: bool = False
    has_init: bool = True
    address: str | None = None
    swarm_managers: frozenset[str] = frozenset()
    is_manager: bool = False
    job_limits: JobLimits = NOTHING
    affinity: Affinity | None = None
