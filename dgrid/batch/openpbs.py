"""OpenPBS and PBS Pro; also what looks like them, as Slurm's Torque commands do.

Measured on OpenPBS 23.06.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from dgrid.batch.listing import JobNodes, of_node_file
from dgrid.batch.query import JobQuery, exec_hosts, values_of
from dgrid.batch.shares import JobShares, visible
from dgrid.batch.sources import Sources, Surroundings, duration
from dgrid.batch.system import BatchSystem
from dgrid.plan.job_share import JobShare
from dgrid.units import parse_size

# Paths and habits of the login host, which a container has nothing of; and the node file, which lies on the nodes
# alone: the containers have their own hostfile.
OF_THE_HOST = frozenset(
    {
        "PBS_NODEFILE",
        "PBS_GPUFILE",
        "PBS_MICFILE",
        "PBS_O_HOME",
        "PBS_O_LANG",
        "PBS_O_LOGNAME",
        "PBS_O_MAIL",
        "PBS_O_PATH",
        "PBS_O_SHELL",
        "PBS_O_TZ",
        "PBS_CONF_FILE",
        "PBS_EXEC",
        "PBS_HOME",
    }
)


def list_nodes(around: Surroundings) -> JobNodes:
    """The script's host first; ``mpiprocs=2`` repeats a host, ``ncpus=2`` alone does not."""
    return of_node_file(around, "PBS_NODEFILE")


def shares(around: Surroundings) -> JobShares:
    """``exec_vnode`` of qstat: "(n1:ncpus=2:ngpus=1:mem=1048576kb)+(n2:ncpus=2)", also "(n1[0]:ncpus=1+n1[1]:ncpus=1)".

    It tells how many GPUs, and of this node CUDA_VISIBLE_DEVICES tells which, as the cgroups hook sets it (PBS
    Administrator's Guide, "Configuring and Using PBS with Cgroups"). ``NCPUS`` is this node's.
    """
    own, name = visible(around)
    job = _only_job(around.ask(("qstat", "-f", "-F", "json", around.environment.get("PBS_JOBID", ""))))
    there = {host: _share(amounts) for host, amounts in _amounts(str(job.get("exec_vnode", ""))).items()}
    number = around.environment.get("NCPUS", "")
    here = JobShare(own, cpu_count=int(number) if number.isdecimal() and not there else None)
    taken = [("CPUs, memory and number of GPUs", "exec_vnode of qstat")] if there else []
    taken += [("GPUs of this node", f"${name}")] if name else []
    silence = "PBS does not tell which GPUs of another node are the job's, and of this one by $CUDA_VISIBLE_DEVICES"
    return JobShares(here, there, JobShare(silence=silence), tuple(taken))


def _amounts(vnodes: str) -> dict[str, dict[str, int]]:
    """By host: what of each resource all chunks together have."""
    found: dict[str, dict[str, int]] = {}
    for chunk in re.split(r"[()+]+", vnodes):
        vnode, *resources = chunk.split(":")
        amounts = found.setdefault(vnode.partition("[")[0], {}) if resources else {}
        for name, _, amount in (one.partition("=") for one in resources):
            try:
                amounts[name] = amounts.get(name, 0) + parse_size(amount)
            except ValueError:
                continue  # a text, as in arch=linux
    return found


def _share(amounts: Mapping[str, int]) -> JobShare:
    return JobShare(
        gpus=None if amounts.get("ngpus") else (), cpu_count=amounts.get("ncpus"), memory_bytes=amounts.get("mem")
    )


def time_left(sources: Sources, job_id: str) -> float | None:
    """qstat(1B), -F json. What was used lags behind by the minutes between two looks of mom; the start does not."""
    job = _only_job(sources.ask(("qstat", "-f", "-F", "json", job_id)))
    limit_s = duration(_entry(job, "Resource_List", "walltime"))
    if limit_s is None:
        return None
    used_s = [duration(_entry(job, "resources_used", "walltime")), _since(job.get("stime"), sources.now_s)]
    known = [used for used in used_s if used is not None]
    return limit_s - max(known) if known else None


def pbs_json(output: str) -> tuple[str, ...]:
    """The hosts of ``qstat -f -F json``: ``Jobs.<id>.exec_host``, "n1/0*2+n2/0*2" (PBS Reference Guide)."""
    return exec_hosts("+".join(text for text in values_of(output, "exec_host") if isinstance(text, str)))


# OpenPBS and PBS Pro say PBS_ARRAY_INDEX and PBS_ARRAY_ID; a member's id has brackets: 38[2].head. NCPUS is theirs
# too. Slurm's Torque commands set just PBS_JOBID, PBS_NODEFILE and PBS_O_WORKDIR, and so look like this row.
PBS = BatchSystem(
    name="PBS",
    signs=("PBS_JOBID", "PBS_NODEFILE"),
    job_id="PBS_JOBID",
    list_nodes=list_nodes,
    nodes_in=("PBS_NODEFILE",),
    job_name="PBS_JOBNAME",
    owner="PBS_O_LOGNAME",
    submit_directory="PBS_O_WORKDIR",
    array_index="PBS_ARRAY_INDEX",
    prefixes=("PBS_",),
    also=frozenset({"NCPUS"}),
    withheld=OF_THE_HOST,
    # kill_delay of the queue, 10 s unless it is set; measured: 9 to 24 s. `qsig -s TERM` and HUP end all in 0.2 s.
    leaves_s=10.0,
    signals="TERM on the first node only, KILL on all nodes after the queue's kill_delay",
    time_left=time_left,
    attach=("pbs_attach", "-j", "-p"),
    query=JobQuery(("qstat", "-f", "-F", "json", "{job}"), pbs_json),
    shares=shares,
)


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
