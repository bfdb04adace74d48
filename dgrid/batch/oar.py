"""OAR. Measured on 2.6.1."""

from __future__ import annotations

import re

from dgrid.batch.listing import JobNodes, of_node_file, read_named
from dgrid.batch.query import JobQuery, values_of
from dgrid.batch.shares import JobShares, own_gpus, ranges
from dgrid.batch.sources import Sources, Surroundings, left_by_age
from dgrid.batch.system import BatchSystem
from dgrid.errors import UsageError
from dgrid.plan.job_share import JobShare

# OAR_RESOURCE_FILE is no list of resources: by a slip of OAR's it is the node file, too, in the job's shell.
_FILES = ("OAR_NODEFILE", "OAR_NODE_FILE", "OAR_FILE_NODES")


def list_nodes(around: Surroundings) -> JobNodes:
    """One line for each resource (a core, as a rule): a host's lines are its slots."""
    return of_node_file(around, next(name for name in _FILES if around.environment.get(name)))


def shares(around: Surroundings) -> JobShares:
    """A line for each resource in the file of $OAR_RESOURCE_PROPERTIES_FILE: ``host = 'n1' , cpuset = '0' , ...``.

    ``cpuset`` has the kernel's CPUs, "0" or "0,8", where the site has set it: as OAR makes it, it is 0 for all.
    ``gpudevice`` is the GPU's number on its node, where there is one (OAR's documentation, "GPU").
    """
    try:
        text = read_named(around, "OAR_RESOURCE_PROPERTIES_FILE").decode("utf-8", "replace")
    except (UsageError, KeyError):
        return own_gpus(around, "OAR", remedy=", and the file of $OAR_RESOURCE_PROPERTIES_FILE cannot be read")
    by_host: dict[str, list[dict[str, str]]] = {}
    for line in text.splitlines():
        found = dict(re.findall(r"(\w+)\s*=\s*'([^']*)'", line))
        if host := found.get("network_address") or found.get("host"):
            by_host.setdefault(host, []).append(found)
    has_gpus = any("gpudevice" in one for resources in by_host.values() for one in resources)
    there = {host: _share(resources, has_gpus) for host, resources in by_host.items()}
    silence = "OAR's resources have no property gpudevice here, which would tell"
    taken = (("CPUs and GPUs", "cpuset and gpudevice in the file of $OAR_RESOURCE_PROPERTIES_FILE"),)
    return JobShares(there=there, every=JobShare(silence=silence), taken=taken)


def _share(resources: list[dict[str, str]], has_gpus: bool) -> JobShare:
    sets = [one.get("cpuset", "") for one in resources]
    numbers = {int(cpu) for one in sets for cpu in ranges(one)}
    is_set = bool(numbers) and (len(set(sets)) > 1 or sets != ["0"] * len(sets))
    gpus = tuple(dict.fromkeys(one["gpudevice"] for one in resources if one.get("gpudevice", "").isdecimal()))
    cpus = tuple(sorted(numbers)) if is_set else None
    return JobShare(gpus if has_gpus else None, cpus, len(cpus) if cpus else None)


def time_left(sources: Sources, _job_id: str) -> float | None:
    """The walltime stands in the environment, the start does not."""
    return left_by_age(sources, sources.environment.get("OAR_JOB_WALLTIME_SECONDS", ""))


def oar_json(output: str) -> tuple[str, ...]:
    """``assigned_network_address`` of ``oarstat -J -fj``: a list of hosts, empty for a job that waits (OAR's wiki)."""
    lists = (one for one in values_of(output, "assigned_network_address") if isinstance(one, list))
    return tuple(name for one in lists for name in one if isinstance(name, str))


OAR = BatchSystem(
    name="OAR",
    signs=("OAR_JOB_ID", "OAR_JOBID", "OAR_NODEFILE"),
    job_id="OAR_JOB_ID",
    list_nodes=list_nodes,
    nodes_in=_FILES,
    job_name="OAR_JOB_NAME",
    owner="OAR_USER",
    submit_directory="OAR_O_WORKDIR",
    # A job that is no array is one of one member, with index 1.
    array_index="OAR_ARRAY_INDEX",
    prefixes=("OAR_",),
    # Files of the nodes, and the name of a cgroup there. OAR_KEY is withheld as everything that is called a key.
    withheld=frozenset(
        {*_FILES, "OAR_RESOURCE_FILE", "OAR_RESOURCE_PROPERTIES_FILE", "OAR_STDOUT", "OAR_STDERR", "OAR_CPUSET"}
    ),
    # Works with ssh too; but what ssh starts is no part of the job.
    reach=("oarsh",),
    # Measured: KILL alone, for oardel and at the end of the walltime. Before the end: --checkpoint with --signal.
    leaves_s=None,
    signals="KILL at once",
    time_left=time_left,
    shares=shares,
    query=JobQuery(("oarstat", "-J", "-fj", "{job}"), oar_json),
)
