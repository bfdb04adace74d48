"""Which batch system's job this is."""

from __future__ import annotations

from collections.abc import Mapping

from dgrid.batch.pbs import PBS, TORQUE
from dgrid.batch.system import BatchJob, BatchSystem, read_job

# The first row that finds a sign of its system wins: the more special ones stand first.
SYSTEMS: tuple[BatchSystem, ...] = (TORQUE, PBS)


def detect(environment: Mapping[str, str]) -> BatchJob | None:
    """``detect({"PBS_JOBID": "12.head", "PBS_NODEFILE": "/aux/12.head"}).job_id == "12.head"``.

    None outside any job.
    """
    return next((job for system in SYSTEMS if (job := read_job(system, environment))), None)
