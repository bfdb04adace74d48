"""HTCondor: parallel universe, and jobs of one machine. Measured on 23.9.6.

The environment names neither the job nor its nodes: both are in the file of $_CONDOR_JOB_AD.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dgrid.batch.listing import JobNodes, checked, compared, read_named, unreadable
from dgrid.batch.query import JobQuery, values_of
from dgrid.batch.shares import JobShares, gpu_ids, megabytes
from dgrid.batch.sources import Sources, Surroundings
from dgrid.batch.system import BatchSystem
from dgrid.errors import UsageError
from dgrid.plan.job_share import JobShare

_FILE = "_CONDOR_JOB_AD"
_LINE = re.compile(r"\s*(\w+)\s*=\s*(.*?)\s*")
_ID = "ClusterId.ProcId of the job ad"
_HOSTS = "AllRemoteHosts of the job ad"
_CPUS = "RequestCpus of the job ad"


def read_ad(text: str) -> dict[str, str]:
    r"""``read_ad('ClusterId = 7\nOwner = "alice"\n') == {"ClusterId": "7", "Owner": "alice"}``."""
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return {one[1]: _unquoted(one[2]) for one in found if one}


def more(around: Surroundings) -> Mapping[str, str]:
    """What the job ad says; nothing if it cannot be read, which is told when the nodes are asked for."""
    try:
        ad = read_ad(read_named(around, _FILE).decode("utf-8", "replace"))
    except (UsageError, KeyError):
        return {}
    job_id = f"{ad['ClusterId']}.{ad.get('ProcId', '0')}" if "ClusterId" in ad else ""
    names = ("AllRemoteHosts", "RequestCpus", "Owner", "Iwd", "JobBatchName")
    return {_ID: job_id, **{f"{name} of the job ad": ad[name] for name in names if name in ad}}


def list_nodes(around: Surroundings) -> JobNodes:
    """``AllRemoteHosts = "slot1@n2,slot1@n3"``: each entry has as many slots as RequestCpus says.

    Without it (in the vanilla universe) the job is on this machine alone. Raises UsageError.
    """
    if not around.environment.get(_ID):
        ad = read_named(around, _FILE)
        raise unreadable(_FILE, around.environment[_FILE], f"a file of {len(ad)} bytes without a ClusterId")
    each = around.environment.get(_CPUS, "")
    # An expression instead of a number is the pool's own business.
    slots = int(each) if each.isdecimal() and int(each) > 0 else 1
    counted = ("slots", _CPUS if each else "none: one")
    hosts = around.environment.get(_HOSTS, "")
    if not hosts:
        here = (("nodes", "this machine: the job ad has no AllRemoteHosts"), counted)
        return JobNodes(((around.hostname, slots),), "this machine, a job of one machine", here)
    names = _machines(hosts)
    nodes = checked([(name, slots) for name in names], _HOSTS, hosts)
    listed = JobNodes(nodes, "HTCondor's job ad", (("nodes", _HOSTS), counted))
    return compared(listed, around, "_CONDOR_NPROCS", len(names), _HOSTS)


def shares(around: Surroundings) -> JobShares:
    """This node's slot, by the file of $_CONDOR_MACHINE_AD: ``AssignedGPUs = "GPU-5c4f,CUDA1"``, ``Cpus``, ``Memory``.

    HTCondor 23 manual, "Machine ClassAd Attributes". Without GPUs CUDA_VISIBLE_DEVICES is "10000" (measured).
    """
    try:
        ad = read_ad(read_named(around, "_CONDOR_MACHINE_AD").decode("utf-8", "replace"))
    except (UsageError, KeyError):
        ad = {}
    assigned = re.sub(r"\bCUDA(\d+)", r"\1", ad.get("AssignedGPUs", ad.get("AssignedGpus", "")))
    if not assigned and around.environment.get("CUDA_VISIBLE_DEVICES") != "10000":
        assigned = around.environment.get("CUDA_VISIBLE_DEVICES", "")
    cpus = ad.get("Cpus", "")
    here = JobShare(
        gpus=gpu_ids(assigned) or (),
        cpu_count=int(cpus) if cpus.isdecimal() and int(cpus) else None,
        memory_bytes=megabytes(ad.get("Memory", "")),
    )
    silence = "HTCondor tells only which GPUs of dgrid's own node are the job's, in the file of $_CONDOR_MACHINE_AD"
    taken = (("GPUs, CPUs and memory of this node", "the file of $_CONDOR_MACHINE_AD"),) if ad else ()
    return JobShares(here, every=JobShare(silence=silence), taken=taken)


def time_left(sources: Sources, _job_id: str) -> float | None:
    """allowed_job_duration of the submit file (condor_submit(1)), less the time since JobCurrentStartDate, or the age.

    The limits of periodic_remove are expressions, which are the pool's own business.
    """
    ad = read_ad(sources.ask(("cat", sources.environment.get(_FILE, ""))) or "")
    limit, start = ad.get("AllowedJobDuration", ""), ad.get("JobCurrentStartDate", "")
    if not limit.isdecimal():
        return None
    used_s = sources.now_s - int(start) if start.isdecimal() else sources.age_s()
    return None if used_s is None else int(limit) - used_s


def condor_json(output: str) -> tuple[str, ...]:
    """The hosts of ``condor_q -json``: of the parallel universe AllRemoteHosts, else RemoteHost."""
    texts = values_of(output, "AllRemoteHosts") or values_of(output, "RemoteHost")
    return tuple(name for text in texts if isinstance(text, str) for name in _machines(text) if name)


HTCONDOR = BatchSystem(
    name="HTCondor",
    signs=(_FILE,),
    job_id=_ID,
    list_nodes=list_nodes,
    nodes_in=(_FILE,),
    more=more,
    job_name="JobBatchName of the job ad",
    owner="Owner of the job ad",
    submit_directory="Iwd of the job ad",
    # The parallel universe starts the script on every node. It is over when process 0 ends, and ends the others.
    rank="_CONDOR_PROCNO",
    rank_remedy="begin the job's script with: "
    '[ "${_CONDOR_PROCNO:-0}" = 0 ] || exec sleep infinity  (HTCondor ends it when process 0 has ended)',
    # Nothing of _CONDOR_*, which is paths and addresses of the machine, but these. There is no variable with the id.
    also=frozenset({"BATCH_SYSTEM", "_CONDOR_JOB_IWD", "_CONDOR_NPROCS", "_CONDOR_SLOT"}),
    # condor_ssh needs an sshd of the job's own, and carries no environment; plain ssh is what works everywhere.
    reach=("ssh",),
    # TERM to the main process, KILL after job_max_vacate_time (10 minutes).
    leaves_s=600.0,
    signals="TERM to each node's main process, KILL after job_max_vacate_time",
    shares=shares,
    time_left=time_left,
    query=JobQuery(("condor_q", "-json", "-attributes", "AllRemoteHosts,RemoteHost", "{job}"), condor_json),
)


def _machines(hosts: str) -> list[str]:
    """``_machines("slot1@n2,slot1@n3") == ["n2", "n3"]``."""
    return [name.strip().rpartition("@")[2] for name in hosts.split(",")]


def _unquoted(value: str) -> str:
    if len(value) < 2 or not value.startswith('"') or not value.endswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1])
