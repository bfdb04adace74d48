"""How many seconds the job has left, as far as its batch system can tell."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dgrid.batch.ending import EndKnown, ending_of
from dgrid.units import parse_duration

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """What there is to learn it from.

    ``now_s`` is the time of day, in seconds since 1970. ``ask`` runs a command and gives its output, None if it failed
    or did not end in time. ``age_s`` tells for how long the job's first process has been running, None if unknown.
    """

    environment: Mapping[str, str]
    now_s: float
    ask: Callable[[Command], str | None]
    age_s: Callable[[], float | None] = lambda: None


@dataclass(frozen=True, slots=True)
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
    if row.end is EndKnown.NOT:
        return Remaining(None, f"dgrid knows no way to ask {row.system} for the end of a job")
    left_s = _WAYS[row.end](sources, sources.environment.get(row.job_id, ""))
    return Remaining(left_s, "" if left_s is not None else f"{row.system} does not tell the end of this job")


def _of_slurm(sources: Sources, job_id: str) -> float | None:
    """squeue(1), %L: days-hours:minutes:seconds, and words where there is no limit. It knows of changes."""
    answer = sources.ask(("squeue", "--noheader", f"--jobs={job_id}", "--format=%L"))
    if answer is not None:
        return _duration(answer.strip())
    end = sources.environment.get("SLURM_JOB_END_TIME", "")  # sbatch(1): seconds since 1970
    return int(end) - sources.now_s if end.isdecimal() else None


def _of_openpbs(sources: Sources, job_id: str) -> float | None:
    """qstat(1B), -F json. What was used lags behind by the minutes between two looks of mom; the start does not."""
    job = _only_job(sources.ask(("qstat", "-f", "-F", "json", job_id)))
    limit_s = _duration(_entry(job, "Resource_List", "walltime"))
    if limit_s is None:
        return None
    used_s = [_duration(_entry(job, "resources_used", "walltime")), _since(job.get("stime"), sources.now_s)]
    known = [used for used in used_s if used is not None]
    return limit_s - max(known) if known else None


def _of_torque(sources: Sources, job_id: str) -> float | None:
    """qstat -f says "Walltime.Remaining = 8598"; without it there is $PBS_WALLTIME, and the age of the job."""
    found = re.search(
        r"^\s*Walltime\.Remaining = ([\d:]+)\s*$", sources.ask(("qstat", "-f", job_id)) or "", re.MULTILINE
    )
    if found:
        return _duration(found[1])
    return _by_age(sources, "PBS_WALLTIME")


def _of_oar(sources: Sources, _job_id: str) -> float | None:
    return _by_age(sources, "OAR_JOB_WALLTIME_SECONDS")


def _by_age(sources: Sources, variable: str) -> float | None:
    limit_s = _duration(sources.environment.get(variable, ""))
    age_s = sources.age_s() if limit_s is not None else None
    return None if limit_s is None or age_s is None else limit_s - age_s


_WAYS: Mapping[EndKnown, Callable[[Sources, str], float | None]] = {
    EndKnown.SLURM: _of_slurm,
    EndKnown.OPENPBS: _of_openpbs,
    EndKnown.TORQUE: _of_torque,
    EndKnown.OAR: _of_oar,
}


def _duration(text: Any) -> float | None:
    try:
        return parse_duration(str(text))
    except ValueError:
        return None


def _only_job(answer: str | None) -> dict[str, Any]:
    try:
        jobs = json.loads(answer or "{}").get("Jobs", {})
        return dict(next(iter(jobs.values())))
    except (ValueError, AttributeError, StopIteration, TypeError):
        return {}


def _entry(job: Mapping[str, Any], table: str, key: str) -> Any:
    found = job.get(table)
    return found.get(key) if isinstance(found, dict) else None


def _since(text: Any, now_s: float) -> float | None:
    """qstat writes times as ctime(3) does, in the time zone of this machine."""
    try:
        return now_s - time.mktime(time.strptime(str(text), "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return None
