"""How many seconds the job has left, as far as its batch system can tell."""

from __future__ import annotations

from dgrid.batch.detect import ending_of
from dgrid.batch.sources import Command, Sources
from dgrid.record import record

__all__ = ["Command", "Remaining", "Sources", "remaining"]


@record
class Remaining:
    """``left_s`` is None where it cannot be known; ``why`` says then why not: "this is no batch job"."""

    left_s: float | None
    why: str = ""


def remaining(sources: Sources) -> Remaining:
    """``remaining(Sources({"SLURM_JOB_ID": "7"}, now, lambda command: "1:30")).left_s == 90``.

    Negative when the time is over and the batch system has not noticed yet.
    """
    row = ending_of(sources.environment)
    if row is None:
        return Remaining(None, "this is no job of a batch system that dgrid knows")
    if row.time_left is None:
        return Remaining(None, f"dgrid knows no way to ask {row.name} for the end of a job")
    left_s = row.time_left(sources, sources.environment.get(row.job_id, ""))
    return Remaining(left_s, "" if left_s is not None else f"{row.name} does not tell the end of this job")
