"""Flux. Read in flux-environment(7), flux-hostlist(1) and flux-job(1) of flux-core 0.6x; not run.

A batch script gets FLUX_URI and nothing else: job id and nodes are asked of the instance that is the job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from dgrid.batch.listing import JobNodes, checked, compared, number_of, unfolded
from dgrid.batch.query import JobQuery
from dgrid.batch.shares import JobShares, ranges
from dgrid.batch.sources import Sources, Surroundings
from dgrid.batch.system import BatchSystem
from dgrid.errors import UsageError
from dgrid.plan.job_share import JobShare

_ID = "flux getattr jobid"
_HOSTS = "flux hostlist local"
_CORES = "flux resource list"
_NO_LIMIT_S = 2**32 - 1  # flux-job(1): UINT_MAX for a job without a limit


def more(around: Surroundings) -> Mapping[str, str]:
    """The job's id, in a script of ``flux batch``, as its instance knows it."""
    own = around.environment.get("FLUX_JOB_ID")
    return {_ID: own or (around.ask(("flux", "getattr", "jobid")) or "").strip()}


def list_nodes(around: Surroundings) -> JobNodes:
    """``flux hostlist local``: the nodes of the job, or of the instance in a batch script.

    The slots are its tasks, or its cores, if they divide evenly among the nodes, else one a node. Raises UsageError.
    """
    said = (around.ask(("flux", "hostlist", "local")) or "").strip()
    if not said:
        raise UsageError(
            "this is a job of Flux, but `flux hostlist local` told no nodes — is `flux` in the PATH, and the job still "
            "there? Otherwise give the nodes with --hostfile"
        )
    names = tuple(dict.fromkeys(unfolded(_HOSTS, said)))
    where, total = _total(around)
    slots = total // len(names) if total and total % len(names) == 0 else 1
    counted = where if total and total % len(names) == 0 else "none: one a node"
    nodes = checked([(name, slots) for name in names], _HOSTS, said)
    listed = JobNodes(nodes, f"`{_HOSTS}`", (("nodes", f"`{_HOSTS}`"), ("slots", counted)))
    return compared(listed, around, "FLUX_JOB_NNODES", len(nodes), f"`{_HOSTS}`")


def shares(around: Surroundings) -> JobShares:
    """Of all nodes by R, the job's set of resources (RFC 20 of flux-framework): numbers of cores, and which GPUs."""
    own = around.environment.get("FLUX_JOB_ID")
    command = ("flux", "job", "info", own, "R") if own else ("flux", "resource", "R")
    there: dict[str, JobShare] = {}
    try:
        execution = json.loads(around.ask(command) or "{}")["execution"]
        hosts = iter([name for part in execution["nodelist"] for name in unfolded("R", part)])
        for entry in execution["R_lite"]:
            cores, gpus = (ranges(entry["children"].get(kind, "")) for kind in ("core", "gpu"))
            there |= {next(hosts): JobShare(gpus, None, len(cores) or None) for _ in ranges(entry["rank"])}
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, UsageError):
        return JobShares(every=JobShare(silence=f"`{' '.join(command)}`, which tells of GPUs, says nothing"))
    return JobShares(there=there, taken=(("CPUs and GPUs of each node", f"`{' '.join(command)}`"),))


def time_left(sources: Sources, _job_id: str) -> float | None:
    """flux-job(1), timeleft: whole seconds of this job, 0 when it is over."""
    said = (sources.ask(("flux", "job", "timeleft")) or "").strip()
    return float(said) if said.isdecimal() and int(said) < _NO_LIMIT_S else None


def flux_list(output: str) -> tuple[str, ...]:
    """``flux_list("host[1-2]\\n") == ("host1", "host2")``; an empty line for a job that waits (flux-jobs(1))."""
    try:
        return unfolded("nodelist of flux jobs", output)
    except UsageError:
        return ()


FLUX = BatchSystem(
    name="Flux",
    signs=("FLUX_JOB_ID", "FLUX_URI"),
    job_id=_ID,
    list_nodes=list_nodes,
    more=more,
    array_index="FLUX_JOB_CC",
    # Not set in a script of `flux batch`; `flux run` starts a process for each task.
    rank="FLUX_TASK_RANK",
    rank_remedy="submit a script with `flux batch`, and call dgrid in it without `flux run`",
    # Nothing of FLUX_URI and PMI_*, which lead to a broker that no container can reach.
    also=frozenset({"FLUX_JOB_ID", "FLUX_JOB_SIZE", "FLUX_JOB_NNODES", "FLUX_JOB_CC"}),
    # flux-config-exec(5), kill-timeout: 5 s.
    leaves_s=5.0,
    signals="TERM, or ALRM at the time limit; KILL after kill-timeout",
    time_left=time_left,
    shares=shares,
    query=JobQuery(("flux", "jobs", "-a", "-n", "-o", "{{nodelist}}", "{job}"), flux_list),
)


def _total(around: Surroundings) -> tuple[str, int]:
    tasks = number_of(around, "FLUX_JOB_SIZE")
    if tasks is not None:
        return "$FLUX_JOB_SIZE", tasks
    said = around.ask(("flux", "resource", "list", "-n", "-o", "{ncores}")) or ""
    return f"`{_CORES}`", sum(int(word) for word in said.split() if word.isdecimal())
