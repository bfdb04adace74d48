"""How each batch system ends its jobs: how long it waits between asking and killing, and how the end can be known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class EndKnown(Enum):
    """Where the time a job has left is to be learnt."""

    SLURM = "squeue"
    OPENPBS = "qstat -F json"
    TORQUE = "qstat"
    OAR = "its environment"
    NOT = "nowhere"


@dataclass(frozen=True, slots=True)
class Ending:
    """One row. ``signs``: any of them, set and not empty, shows the system; ``job_id`` is the variable with its id.

    ``leaves_s`` is the time from the TERM that a deleted or overdue job gets to its KILL, as the system is delivered;
    None where that is not known, and where there is no TERM but KILL at once: there no TERM is the system's.
    ``attach`` are the command and the options by which a process becomes one of the job, as
    ``("pbs_attach", "-j", "-p")``; empty where there is none.
    """

    system: str
    signs: tuple[str, ...]
    job_id: str
    leaves_s: float | None
    end: EndKnown
    attach: tuple[str, ...] = ()


# The first row that finds a sign wins. Slurm stands before the PBS rows, as its Torque commands set PBS_* as well.
ENDINGS: tuple[Ending, ...] = (
    # slurm.conf(5), KillWait: 30 s, "scontrol show config" tells a site's own. Before the end: sbatch --signal.
    Ending("Slurm", ("SLURM_JOB_ID", "SLURM_JOBID"), "SLURM_JOB_ID", 30.0, EndKnown.SLURM),
    # kill_delay, 2 s unless it is set; measured: hardly any.
    Ending(
        "Torque",
        ("PBS_NUM_NODES", "PBS_NUM_PPN", "PBS_NP"),
        "PBS_JOBID",
        2.0,
        EndKnown.TORQUE,
        ("pbs_track", "-j", "-a"),
    ),
    # kill_delay of the queue, 10 s unless it is set; measured: 9 to 24 s.
    Ending("PBS", ("PBS_JOBID",), "PBS_JOBID", 10.0, EndKnown.OPENPBS, ("pbs_attach", "-j", "-p")),
    # Measured: KILL alone, for oardel and at the end of the walltime. Before the end: --checkpoint with --signal.
    Ending("OAR", ("OAR_JOB_ID", "OAR_JOBID"), "OAR_JOB_ID", None, EndKnown.OAR),
    # KILL alone; with qsub -notify USR2 to all processes, and KILL after the queue's "notify" (60 s).
    Ending("Grid Engine", ("SGE_JOB_SPOOL_DIR",), "JOB_ID", None, EndKnown.NOT),
    # TERM to the main process, KILL after job_max_vacate_time (10 minutes).
    Ending("HTCondor", ("_CONDOR_JOB_AD",), "", 600.0, EndKnown.NOT),
    Ending("LSF", ("LSB_JOBID",), "LSB_JOBID", None, EndKnown.NOT),
)


def ending_of(environment: Mapping[str, str]) -> Ending | None:
    """``ending_of({"SLURM_JOB_ID": "7", "PBS_JOBID": "7"}).system == "Slurm"``; None outside any job."""
    return next((row for row in ENDINGS if any(environment.get(sign) for sign in row.signs)), None)


def attach_command(
    system: str | None, job_id: str | None, pid: int, program: str | None = None
) -> tuple[str, ...] | None:
    """``attach_command("PBS", "0.head", 4711) == ("pbs_attach", "-j", "0.head", "-p", "4711")``.

    The command that makes a process, with its whole session, one of the job: to be run on the process's node as the
    job's owner, whose the process must be. ``system`` is a name of ``ENDINGS``; ``program`` the path of the command
    where it is known. None where the system has none, and outside a job.
    """
    row = next((one for one in ENDINGS if one.system == system and one.attach), None)
    if row is None or not job_id:
        return None
    name, job_option, pid_option = row.attach
    return (program or name, job_option, job_id, pid_option, str(pid))
