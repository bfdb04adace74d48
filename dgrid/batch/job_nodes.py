"""The nodes of a job that this process is not in, as its batch system tells them.

``nodes_of_job("12", ask)`` tries the systems in order; ``ask`` runs a command of theirs, and is the caller's.
"""

from __future__ import annotations

from dgrid.batch.flux import FLUX
from dgrid.batch.htcondor import HTCONDOR
from dgrid.batch.lsf import LSF
from dgrid.batch.oar import OAR
from dgrid.batch.openpbs import PBS
from dgrid.batch.query import Ask, Finished, JobQuery
from dgrid.batch.slurm import SLURM
from dgrid.batch.torque import TORQUE
from dgrid.errors import UsageError

__all__ = ["QUERIES", "Ask", "Finished", "nodes_of_job"]

# Torque's qstat has no -F, and refuses OpenPBS's line.
QUERIES: tuple[JobQuery, ...] = tuple(
    row.query for row in (SLURM, PBS, TORQUE, OAR, LSF, HTCONDOR, FLUX) if row.query is not None
)


def nodes_of_job(job: str, ask: Ask) -> tuple[str, ...]:
    """The names of the job's nodes, each once, in the batch system's order. Raises UsageError with what each said."""
    if not job or job.startswith("-"):
        raise UsageError(f'--job: "{job}" is no job id')
    said: dict[str, str] = {}
    for query in QUERIES:
        command = tuple(word.format(job=job) for word in query.command)
        finished = ask(command)
        if finished is None:
            continue
        names = () if finished.exit_code else _names(query, finished.output, ask)
        if names:
            return names
        said[command[0]] = _reason(finished)
        # One that knows the job decides. One that fails may be there without a system behind it, as Slurm's commands
        # on a machine of another one.
        if finished.exit_code == 0:
            break
    commands = ", ".join(dict.fromkeys(query.command[0] for query in QUERIES))
    reason = "; ".join(map(": ".join, said.items())) if said else f"there is none of {commands} here to ask"
    raise UsageError(f"--job {job}: its nodes are unknown ({reason}) — name them with -w NODES")


def _names(query: JobQuery, output: str, ask: Ask) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(query.parse(output)))
    if not names or not query.unfold:
        return names
    unfolded = ask((*query.unfold, ",".join(names)))
    return () if unfolded is None or unfolded.exit_code else tuple(dict.fromkeys(unfolded.output.split()))


def _reason(finished: Finished) -> str:
    if finished.exit_code == 0:
        return "it has no nodes; it waits, or has ended"
    lines = (finished.errors or finished.output).strip().splitlines()
    return lines[-1].strip() if lines else f"exit code {finished.exit_code}"
