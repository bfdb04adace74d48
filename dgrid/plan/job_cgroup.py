"""The job's cgroup on a node: which it is, and whether containers go into it or get its limits.

``decide(found, engine, "42.head")`` is the decision, and its ``reason`` tells it in a line for people.
"""

from __future__ import annotations

import re

from dgrid.plan.job_limits import JobLimits
from dgrid.record import record

_UNLIMITED_BYTES = 1 << 60  # cgroup v1 has no word for it, but the largest multiple of a page
_MEMORY, _CPUSET, _UNIFIED = "memory", "cpuset", "unified"


@record
class Level:
    """One cgroup: its path, its own memory limit, the CPUs its processes may use ("0-3,8"), whether it has any.

    None stands for no limit, and for what the node does not tell.
    """

    path: str
    memory_bytes: int | None = None
    cpus: str | None = None
    has_processes: bool = False


@record
class Hierarchy:
    """The cgroups a process of the user's is in on a node, in one hierarchy: its own first, the root last.

    ``name`` is "memory" or "cpuset" (cgroup v1, also of a hybrid node), or "unified" (v2).
    """

    name: str
    levels: tuple[Level, ...]

    @property
    def path(self) -> str:
        """Of the process's own cgroup."""
        return self.levels[0].path


@record
class EngineCgroups:
    """What an engine says of cgroups: its driver ("cgroupfs", "systemd"), the version ("1", "2"), if it is rootless."""

    driver: str
    version: str
    rootless: bool


@record
class _Job:
    """A job's cgroup: its own path, not that of a step or a task in it. ``number`` is None where the path has none."""

    path: str
    number: str | None


# Where batch systems put the processes of a job.
_JOBS = tuple(
    re.compile(pattern)
    for pattern in (
        # Slurm, v1: /slurm/uid_1000/job_42/step_batch; a site may run several slurmds: /slurm_node1/...
        r"(?P<path>.*/slurm(?:_[^/]+)?/uid_\d+/job_(?P<number>\d+))(?:/.*)?",
        # Slurm, v2 (https://slurm.schedmd.com/cgroup_v2.html): /system.slice/slurmstepd.scope/job_42/step_0/user
        r"(?P<path>.*/(?:[^/]+_)?slurmstepd\.scope/job_(?P<number>\d+))(?:/.*)?",
        # OpenPBS with its cgroups hook: /pbs_jobs.service/jobid/42.head (v1), /pbs_jobs.service/jobs/42.head (v2)
        r"(?P<path>.*/pbs_jobs\.service/(?:jobid|jobs)/(?P<number>\d+)[^/]*)(?:/.*)?",
        # Torque 6
        r"(?P<path>.*/torque/(?P<number>\d+)[^/]*)(?:/.*)?",
        # OAR 2.5, and 2.6 (job_resource_manager_systemd.pl): a slice
        r"(?P<path>.*/oar/[^/]+_(?P<number>\d+))(?:/.*)?",
        r"(?P<path>.*/oar-u\d+-j(?P<number>\d+)\.slice)(?:/.*)?",
        # HTCondor, BASE_CGROUP: by slots, not by jobs
        r"(?P<path>.*/htcondor/condor_[^/]+)(?:/.*)?",
    )
)
# What is certainly no job's: log-ins, daemons and what they start, other containers.
_NO_JOBS = re.compile(
    r"/|/\.\..*|.*/user\.slice(/.*)?|/init\.scope|/system\.slice(/[^/]+\.service(/.*)?)?|.*/session-[^/]*\.scope|"
    r".*/(docker|lxc|lxc\.payload|libpod_parent|machine\.slice|kubepods)([./-].*)?|.*/(docker|libpod|crio)-[^/]*\.scope"
)


def decide(found: tuple[Hierarchy, ...], engine: EngineCgroups, job_id: str | None) -> JobLimits:
    """What the containers on a node get of the job's limits there.

    ``found`` is what the probe of the node saw, ``job_id`` the job's, None outside a job. The job's own cgroup is
    the containers' parent where the engine takes it; else they get its limits. Nothing where there is none.
    """
    counted = _counted(found)
    jobs = {job for hierarchy in counted if (job := _job_of(hierarchy.path))}
    if not jobs:
        return _outside(counted, engine, job_id)
    job = min(jobs, key=lambda one: one.path)
    if job_id is not None and job.number is not None and _leading_number(job_id) != job.number:
        return _nothing(f"your processes there are in the cgroup of another job, {job.path}")
    if engine.rootless:
        return _rootless(job.path)
    limits, everything = _limits(counted, job.path), _all_cpus(counted, job.path)
    refusal = _refusal(counted, jobs, job, engine)
    if refusal is None:
        parent = job.path.rpartition("/")[2] if engine.driver == "systemd" else job.path
        reason = f"containers are in the job's cgroup {job.path}"
        return JobLimits(parent, *limits, reason=reason, all_cpus=everything)
    reason = f"containers get the limits of the job's cgroup {job.path}: {refusal}"
    return JobLimits(None, *limits, reason=reason, all_cpus=everything)


def _counted(found: tuple[Hierarchy, ...]) -> tuple[Hierarchy, ...]:
    """On a hybrid node memory and CPUs are v1's, and v2 has nothing to say."""
    first = tuple(one for one in found if one.name in (_MEMORY, _CPUSET))
    return first or tuple(one for one in found if one.name == _UNIFIED)


def _job_of(path: str) -> _Job | None:
    match = next((match for pattern in _JOBS if (match := pattern.fullmatch(path))), None)
    return None if match is None else _Job(match["path"], match.groupdict().get("number"))


def _outside(counted: tuple[Hierarchy, ...], engine: EngineCgroups, job_id: str | None) -> JobLimits:
    """A cgroup that is no job's by its name: in a job its limits hold, unless it is that of a log-in or a daemon."""
    paths = sorted({one.path for one in counted})
    if not paths:
        return _nothing("the node tells nothing of cgroups")
    if job_id is None or any(_NO_JOBS.fullmatch(path) for path in paths):
        return _nothing(f"your processes there are in {paths[-1]}, which is no job's cgroup")
    if engine.rootless:
        return _rootless(paths[-1])
    limits = [_limits((one,), one.path) for one in counted]
    cpus = next((cpus for cpus, _ in limits if cpus is not None), None)
    memory_bytes = next((memory for _, memory in limits if memory is not None), None)
    return JobLimits(None, cpus, memory_bytes, reason=f"containers get the limits of the cgroup {paths[-1]}")


def _nothing(reason: str) -> JobLimits:
    return JobLimits(reason=f"containers get no limits of the job's: {reason}")


def _rootless(path: str) -> JobLimits:
    return _nothing(f"rootless Podman may not use {path}, but a service that dgrid starts there is in it")


def _refusal(counted: tuple[Hierarchy, ...], jobs: set[_Job], job: _Job, engine: EngineCgroups) -> str | None:
    """Why the job's cgroup cannot be the containers' parent; None if it can."""
    unified = counted[0].name == _UNIFIED
    if engine.version != ("2" if unified else "1"):
        return "the engine uses another version of cgroups"
    if engine.driver == "systemd":
        return None if job.path.endswith(".slice") else "the engine's systemd cgroup driver takes only slices"
    if engine.driver != "cgroupfs":
        return f'the engine\'s cgroup driver is "{engine.driver}"'
    if len(jobs) > 1 or any(_job_of(one.path) != job for one in counted):
        return "it has not the same path for memory and CPUs"
    if unified and any(level.has_processes for level in counted[0].levels if level.path == job.path):
        return "it has processes of its own, beneath which cgroup v2 takes nothing"
    return None


def _limits(counted: tuple[Hierarchy, ...], path: str) -> tuple[str | None, int | None]:
    """CPUs and memory: of the cgroup itself and all above it the tightest; CPUs only if they are not all."""
    cpus: str | None = None
    memory: list[int] = []
    for hierarchy in counted:
        own = [level for level in hierarchy.levels if path == level.path or _is_above(level.path, path)]
        memory += [limit for level in own if (limit := level.memory_bytes) is not None and limit < _UNLIMITED_BYTES]
        told = [level.cpus for level in own if level.cpus]
        if told and told[0] != told[-1]:
            cpus = told[0]
    return cpus, min(memory, default=None)


def _all_cpus(counted: tuple[Hierarchy, ...], path: str) -> str | None:
    """All CPUs of the node, if the cgroup itself has a set of CPUs, and this is it."""
    for hierarchy in counted:
        for level in hierarchy.levels:
            if level.path == path and level.cpus and level.cpus == hierarchy.levels[-1].cpus:
                return level.cpus
    return None


def _is_above(path: str, other: str) -> bool:
    return path == "/" or other.startswith(f"{path}/")


def _leading_number(job_id: str) -> str:
    """``_leading_number("38[2].head") == "38"``."""
    match = re.match(r"\d+", job_id)
    return match[0] if match else job_id
