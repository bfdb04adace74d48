"""How a process becomes one of the job, to be counted and killed with it."""

from __future__ import annotations

from dgrid.batch.detect import ending_of, row_of

__all__ = ["attach_command", "ending_of"]


def attach_command(
    system: str | None, job_id: str | None, pid: int, program: str | None = None
) -> tuple[str, ...] | None:
    """``attach_command("PBS", "0.head", 4711) == ("pbs_attach", "-j", "0.head", "-p", "4711")``.

    The command that makes a process, with its whole session, one of the job: to be run on the process's node as the
    job's owner, whose the process must be. ``system`` is a name of ``dgrid.batch.detect.SYSTEMS``; ``program`` the path
    of the command where it is known. None where the system has none, and outside a job.
    """
    row = row_of(system)
    if row is None or not row.attach or not job_id:
        return None
    name, job_option, pid_option = row.attach
    return (program or name, job_option, job_id, pid_option, str(pid))
