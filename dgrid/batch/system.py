"""What a batch system's environment says, and the shape of the table rows that know how it says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dgrid.batch.ending import ending_of

# Whatever the system: what opens doors stays outside the containers, whose environment anyone may read with
# ``docker inspect``.
_SECRET = re.compile(r"COOKIE|MOMPORT|TOKEN|SECRET|PASSW|CREDENTIAL|_KEY", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BatchSystem:
    """One row: how a batch system tells a job about itself, all through environment variables.

    ``signs``: any of them, set and not empty, shows this system. ``job_id`` and ``node_file``: the variables with
    the job's id and the path of its node file. ``prefix``: the system's own variables, which every container gets,
    with ``also`` and without ``withheld``.
    """

    name: str
    signs: tuple[str, ...]
    job_id: str
    node_file: str
    prefix: str
    also: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BatchJob:
    """The job dgrid runs in. ``job_id`` and ``node_file`` are None where the system's variables are not set.

    ``ended_by`` is who ends the job, as ``dgrid.batch.ending`` calls it, and ``leaves_s`` the time it leaves between
    TERM and KILL, None where that is not known: Slurm's Torque commands look like PBS, and the job ends as Slurm's do.
    """

    system: str
    job_id: str | None
    node_file: str | None
    node_file_variable: str
    variables: tuple[tuple[str, str], ...]
    ended_by: str | None = None
    leaves_s: float | None = None


def read_job(system: BatchSystem, environment: Mapping[str, str]) -> BatchJob | None:
    """The job as one system describes it, None when the environment shows no sign of that system."""
    if not any(environment.get(sign) for sign in system.signs):
        return None
    ending = ending_of(environment)
    return BatchJob(
        system=system.name,
        job_id=environment.get(system.job_id) or None,
        node_file=environment.get(system.node_file) or None,
        node_file_variable=system.node_file,
        variables=tuple((name, environment[name]) for name in sorted(environment) if _given_on(system, name)),
        ended_by=ending.system if ending else None,
        leaves_s=ending.leaves_s if ending else None,
    )


def _given_on(system: BatchSystem, name: str) -> bool:
    own = name.startswith(system.prefix) or name in system.also
    return own and name not in system.withheld and not _SECRET.search(name)
