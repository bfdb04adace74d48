"""What containers get of the limits that their job has on a node."""

from __future__ import annotations

from dataclasses import replace

from dgrid.plan.definition import Resources
from dgrid.plan.job_share import cpu_numbers
from dgrid.record import record


@record
class JobLimits:
    """The job's limits on one node.

    ``parent`` is the cgroup the containers go into, as the engine wants it written; None if it takes none. ``cpus``
    are the CPUs the job may use ("0-3,8") and ``memory_bytes`` its memory; None where it has no such limit.
    ``all_cpus`` are those of the node where the job's cgroup has a set of CPUs, and these are all: the job's own, or
    those of every job there, as where Slurm confines none. ``reason`` tells people in a line what is done, and why.
    ``beyond_cgroup``: the CPUs are fewer than the cgroup's.
    """

    parent: str | None = None
    cpus: str | None = None
    memory_bytes: int | None = None
    reason: str = ""
    beyond_cgroup: bool = False
    all_cpus: str | None = None

    def without_parent(self) -> JobLimits:
        """The limits, for an engine that refuses the cgroup."""
        return replace(self, parent=None)

    @property
    def known_cpus(self) -> str | None:
        """The set of CPUs that the job may use, be it all; None if it is not known to have one."""
        return self.cpus or self.all_cpus

    @property
    def cpuset(self) -> str | None:
        """The CPUs to give a container; None in the job's cgroup, which has them already."""
        return self.cpus if self.parent is None or self.beyond_cgroup else None


NOTHING = JobLimits()


@record
class Affinity:
    """CPUs of a node: those that the user's process may use there (sched_setaffinity(2)), and those that are online.

    ``of_job`` says that this process is one of the job's, and not just a log-in.
    """

    allowed: str
    online: str
    of_job: bool = False


def within(resources: Resources, limits: JobLimits) -> Resources:
    """An instance's own limits as far as they fit into the job's: the smaller wins.

    ``within(Resources(memory_bytes=8 * GB), JobLimits(memory_bytes=4 * GB)).memory_bytes == 4 * GB``. In the job's
    cgroup an instance without a limit of its own gets none; elsewhere it gets the job's memory.
    """
    memory, cpus = resources.memory_bytes, resources.cpus
    if limits.memory_bytes is not None and (memory is not None or limits.parent is None):
        memory = min(limits.memory_bytes, memory or limits.memory_bytes)
    if limits.cpus is not None and cpus is not None:
        cpus = min(cpus, float(len(cpu_numbers(limits.cpus))))
    return replace(resources, memory_bytes=memory, cpus=cpus)
