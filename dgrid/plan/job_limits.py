"""What containers get of the limits that their job has on a node."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dgrid.plan.definition import Resources


@dataclass(frozen=True, slots=True)
class JobLimits:
    """The job's limits on one node.

    ``parent`` is the cgroup the containers go into, as the engine wants it written; None if it takes none. ``cpus``
    are the CPUs the job may use ("0-3,8") and ``memory_bytes`` its memory; None where it has no such limit.
    ``reason`` tells people in a line what is done, and why.
    """

    parent: str | None = None
    cpus: str | None = None
    memory_bytes: int | None = None
    reason: str = ""

    def without_parent(self) -> JobLimits:
        """The limits, for an engine that refuses the cgroup."""
        return replace(self, parent=None)

    @property
    def cpuset(self) -> str | None:
        """The CPUs to give a container; None in the job's cgroup, which has them already."""
        return self.cpus if self.parent is None else None


NOTHING = JobLimits()


def within(resources: Resources, limits: JobLimits) -> Resources:
    """An instance's own limits as far as they fit into the job's: the smaller wins.

    ``within(Resources(memory_bytes=8 * GB), JobLimits(memory_bytes=4 * GB)).memory_bytes == 4 * GB``. In the job's
    cgroup an instance without a limit of its own gets none; elsewhere it gets the job's memory.
    """
    memory, cpus = resources.memory_bytes, resources.cpus
    if limits.memory_bytes is not None and (memory is not None or limits.parent is None):
        memory = min(limits.memory_bytes, memory or limits.memory_bytes)
    if limits.cpus is not None and cpus is not None:
        cpus = min(cpus, float(count(limits.cpus)))
    return replace(resources, memory_bytes=memory, cpus=cpus)


def count(cpus: str) -> int:
    """``count("0-3,8") == 5``."""
    bounds = [part.partition("-") for part in cpus.split(",")]
    return sum(int(last or first) - int(first) + 1 for first, _, last in bounds)
