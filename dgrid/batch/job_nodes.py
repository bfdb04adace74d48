"""The nodes of a job that this process is not in, as its batch system tells them.

``nodes_of_job("12", ask)`` tries the systems in order; ``ask`` runs a command of theirs, and is the caller's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from dgrid.errors import UsageError


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended, and what it printed."""

    exit_code: int
    output: str
    errors: str = ""


Ask = Callable[[tuple[str, ...]], Finished | None]
"""Runs a command; None where there is no such command."""


@dataclass(frozen=True, slots=True)
class JobQuery:
    """One row: the command that tells of a job (``{job}`` stands for its id), and how to read its output.

    ``unfold`` is the system's own command for folded names; its argument, the folded text, comes last.
    """

    system: str
    command: tuple[str, ...]
    parse: Callable[[str], tuple[str, ...]]
    unfold: tuple[str, ...] = ()


def nodes_of_job(job: str, ask: Ask) -> tuple[str, ...]:
    """The names of the job's nodes, each once, in the batch system's order. Raises UsageError with what each said."""
    if not job or job.startswith("-"):
        raise UsageError(f'--job: "{job}" is no job id')
    said: tuple[str, str] | None = None
    for query in QUERIES:
        command = tuple(word.format(job=job) for word in query.command)
        # The first command that is there decides: Slurm may have a qstat as well, of its Torque commands.
        finished = ask(command) if said is None or said[0] == command[0] else None
        if finished is None:
            continue
        names = () if finished.exit_code else _names(query, finished.output, ask)
        if names:
            return names
        said = (command[0], _reason(finished))
    commands = " nor ".join(dict.fromkeys(query.command[0] for query in QUERIES))
    reason = ": ".join(said) if said else f"there is neither {commands} here to ask"
    raise UsageError(f"--job {job}: its nodes are unknown ({reason}) — name them with -w NODES")


def slurm_list(output: str) -> tuple[str, ...]:
    """``slurm_list("node[1-2]\\n") == ("node[1-2]",)``; none for a job that waits (squeue(1), ``%N``)."""
    return tuple(line.strip() for line in output.splitlines() if line.strip() not in ("", "(null)", "n/a"))


def pbs_json(output: str) -> tuple[str, ...]:
    """The hosts of ``qstat -f -F json``: ``Jobs.<id>.exec_host``, "n1/0*2+n2/0*2" (PBS Reference Guide)."""
    try:
        jobs = json.loads(output)["Jobs"].values()
        return _hosts("+".join(job["exec_host"] for job in jobs if "exec_host" in job))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def torque_text(output: str) -> tuple[str, ...]:
    """The hosts of ``qstat -f``: ``exec_host = n1/0-1+n2/0-1``, long ones broken over lines that begin with a tab."""
    found = re.search(r"^\s*exec_host = (.*)$", re.sub(r"\n\t", "", output), re.MULTILINE)
    return _hosts(found[1]) if found else ()


QUERIES: tuple[JobQuery, ...] = (
    JobQuery("Slurm", ("squeue", "-h", "-j", "{job}", "-o", "%N"), slurm_list, ("scontrol", "show", "hostnames")),
    JobQuery("PBS", ("qstat", "-f", "-F", "json", "{job}"), pbs_json),
    # Torque's qstat has no -F, and refuses the line above.
    JobQuery("Torque", ("qstat", "-f", "{job}"), torque_text),
)


def _names(query: JobQuery, output: str, ask: Ask) -> tuple[str, ...]:
    names = query.parse(output)
    if not names or not query.unfold:
        return names
    unfolded = ask((*query.unfold, ",".join(names)))
    return () if unfolded is None or unfolded.exit_code else tuple(dict.fromkeys(unfolded.output.split()))


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.partition("/")[0] for part in text.split("+") if part.strip()))


def _reason(finished: Finished) -> str:
    if finished.exit_code == 0:
        return "it has no nodes; it waits, or has ended"
    lines = (finished.errors or finished.output).strip().splitlines()
    return lines[-1].strip() if lines else f"exit code {finished.exit_code}"
