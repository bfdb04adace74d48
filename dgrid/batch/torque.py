"""Torque. Measured on 6.1-dev."""

from __future__ import annotations

import re

from dgrid.batch.listing import JobNodes, of_node_file, read_named
from dgrid.batch.openpbs import OF_THE_HOST
from dgrid.batch.query import JobQuery, exec_hosts
from dgrid.batch.shares import JobShares, own_gpus
from dgrid.batch.sources import Sources, Surroundings, duration, left_by_age
from dgrid.batch.system import BatchSystem
from dgrid.errors import UsageError
from dgrid.plan.job_share import JobShare


def list_nodes(around: Surroundings) -> JobNodes:
    """``nodes=2:ppn=2`` repeats each host; the file lies on the first host only."""
    return of_node_file(around, "PBS_NODEFILE", total="PBS_NP")


def shares(around: Surroundings) -> JobShares:
    """``node1-gpu0`` in the file of $PBS_GPUFILE, a line for each GPU of all nodes (Torque's Administrator Guide)."""
    try:
        text = read_named(around, "PBS_GPUFILE").decode("utf-8", "replace")
    except (UsageError, KeyError):
        return own_gpus(around, "Torque", remedy=", and without $PBS_GPUFILE of no other's")
    there: dict[str, list[str]] = {}
    for found in re.finditer(r"^(\S+)-gpu(\d+)\s*$", text, re.MULTILINE):
        there.setdefault(found[1], []).append(found[2])
    named = {name: JobShare(gpus=tuple(numbers)) for name, numbers in there.items()}
    return JobShares(there=named, every=JobShare(gpus=()), taken=(("GPUs", "the file of $PBS_GPUFILE"),))


def time_left(sources: Sources, job_id: str) -> float | None:
    """qstat -f says "Walltime.Remaining = 8598"; without it there is $PBS_WALLTIME, and the age of the job."""
    found = re.search(
        r"^\s*Walltime\.Remaining = ([\d:]+)\s*$", sources.ask(("qstat", "-f", job_id)) or "", re.MULTILINE
    )
    return duration(found[1]) if found else left_by_age(sources, sources.environment.get("PBS_WALLTIME", ""))


def torque_text(output: str) -> tuple[str, ...]:
    """The hosts of ``qstat -f``: ``exec_host = n1/0-1+n2/0-1``, long ones broken over lines that begin with a tab."""
    found = re.search(r"^\s*exec_host = (.*)$", re.sub(r"\n\t", "", output), re.MULTILINE)
    return exec_hosts(found[1]) if found else ()


# Torque alone counts nodes and processors (PBS_NP, PBS_NUM_NODES, PBS_NUM_PPN) and says PBS_ARRAYID.
TORQUE = BatchSystem(
    name="Torque",
    signs=("PBS_NUM_NODES", "PBS_NUM_PPN", "PBS_NP"),
    job_id="PBS_JOBID",
    list_nodes=list_nodes,
    nodes_in=("PBS_NODEFILE",),
    job_name="PBS_JOBNAME",
    owner="PBS_O_LOGNAME",
    submit_directory="PBS_O_WORKDIR",
    array_index="PBS_ARRAYID",
    prefixes=("PBS_",),
    withheld=OF_THE_HOST,
    # kill_delay, 2 s unless it is set; measured: hardly any.
    leaves_s=2.0,
    signals="TERM on all nodes, KILL after kill_delay, on other nodes at once",
    time_left=time_left,
    attach=("pbs_track", "-j", "-a"),
    shares=shares,
    query=JobQuery(("qstat", "-f", "{job}"), torque_text),
)
