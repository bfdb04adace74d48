"""Which batch system's job this is: the table of all systems, a row in a file of its own each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from dgrid.batch.flux import FLUX
from dgrid.batch.gridengine import GRID_ENGINE
from dgrid.batch.htcondor import HTCONDOR
from dgrid.batch.listing import JobNodes
from dgrid.batch.lsf import LSF
from dgrid.batch.oar import OAR
from dgrid.batch.openpbs import PBS
from dgrid.batch.shares import JobShares
from dgrid.batch.slurm import SLURM
from dgrid.batch.sources import Surroundings
from dgrid.batch.system import BatchJob, BatchSystem, read_job
from dgrid.batch.torque import TORQUE
from dgrid.errors import UsageError

# The inner system stands first: where two have set their variables, the first row wins. Flux instances and HTCondor's
# pools are started in the jobs of others. Torque knows more signs than PBS, which it would look like.
SYSTEMS: tuple[BatchSystem, ...] = (FLUX, HTCONDOR, OAR, GRID_ENGINE, LSF, TORQUE, PBS, SLURM)

# Slurm's Torque commands set PBS_* as well, with Slurm's id, as its spank_pbs.c does. Their node file is taken, but
# it is Slurm that ends the job. Where the ids differ, these are two jobs: `qsub -V` takes along what salloc has set.
_LIKE_PBS = (TORQUE, PBS)


def detect_in(around: Surroundings) -> BatchJob | None:
    """``detect_in(Surroundings({"PBS_JOBID": "12.head", "PBS_NODEFILE": "/aux/12.head"})).job_id == "12.head"``.

    With what is said in files and by commands. None outside any job.
    """
    rows = _shown(around.environment)
    if not rows:
        return None
    ends = ending_of(around.environment) or rows[0]
    # Torque's variables are PBS's too: that is one system, and no contradiction.
    others = tuple(row.name for row in rows[1:] if not (rows[0] is TORQUE and row is PBS))
    return read_job(rows[0], around, ends, others, tuple(_contradictions(around.environment, rows)))


def ending_of(environment: Mapping[str, str]) -> BatchSystem | None:
    """``ending_of({"SLURM_JOB_ID": "7", "PBS_JOBID": "7.head"}).name == "Slurm"``; None outside any job."""
    rows = _shown(environment)
    if not rows:
        return None
    return SLURM if rows[0] in _LIKE_PBS and SLURM in rows and not _two_jobs(environment) else rows[0]


def row_of(name: str | None) -> BatchSystem | None:
    """The row of a system's name; None for what has none."""
    return next((row for row in SYSTEMS if row.name == name), None)


def nodes_of(job: BatchJob, around: Surroundings) -> JobNodes:
    """The nodes and slots of the job that this process is in. Raises UsageError and NodeFileError."""
    row = next(row for row in SYSTEMS if row.name == job.system)
    if not row.tells_nodes(job.said):
        raise UsageError(
            f"this is a job of {job.system}, but ${row.nodes_in[0]} is not set, so its nodes are unknown — "
            "give them with --hostfile, or use this machine alone with --local 1"
        )
    return row.list_nodes(replace(around, environment=job.said))


def shares_of(job: BatchJob, around: Surroundings) -> JobShares:
    """GPUs, CPUs and memory of the job on its nodes, by the system that gave them: the one that ends the job."""
    row = row_of(job.ended_by) or row_of(job.system)
    return row.shares_in(replace(around, environment=job.said)) if row else JobShares()


def tells_nodes(job: BatchJob) -> bool:
    """Whether the job's nodes can be learnt by ``nodes_of``."""
    row = row_of(job.system)
    return row is not None and row.tells_nodes(job.said)


def other_rank(job: BatchJob) -> str | None:
    """Why dgrid is not to run in this process, one of several that the system started; None where it is."""
    for row in filter(None, map(row_of, (job.system, job.ended_by))):
        rank = job.said.get(row.rank, "") if row.rank else ""
        if rank not in ("", "0"):
            return (
                f"this is process {rank} of those that {row.name} has started for the job (${row.rank}), and dgrid is "
                f"to run in process 0 alone — {row.rank_remedy}"
            )
    return None


def _shown(environment: Mapping[str, str]) -> tuple[BatchSystem, ...]:
    """The rows of which there are signs, the inner one first."""
    rows = tuple(row for row in SYSTEMS if row.is_shown_by(environment))
    # Without a node file, what looks like PBS is known by Slurm's own variables.
    if rows and rows[0] in _LIKE_PBS and SLURM in rows and not rows[0].tells_nodes(environment):
        return (SLURM, *(row for row in rows if row is not SLURM))
    return rows


def _two_jobs(environment: Mapping[str, str]) -> bool:
    """Whether PBS and Slurm tell of a job each."""
    pbs, slurm = environment.get(PBS.job_id), environment.get(SLURM.job_id)
    return bool(pbs and slurm and re.split(r"\D", pbs, maxsplit=1)[0] != slurm)


def _contradictions(environment: Mapping[str, str], rows: tuple[BatchSystem, ...]) -> Iterator[str]:
    if _two_jobs(environment) and rows[0] in (*_LIKE_PBS, SLURM):
        names = (PBS.job_id, SLURM.job_id)
        other, taken = names if rows[0] is SLURM else reversed(names)
        yield f"${other} is {environment[other]}, but ${taken} is {environment[taken]}, which was taken"
