"""LSF. Read in "IBM Spectrum LSF 10.1 reference, Environment variables"; not run."""

from __future__ import annotations

import re
from dataclasses import replace

from dgrid.batch.listing import JobNodes, checked, compared, of_node_file, read_named, unreadable
from dgrid.batch.query import JobQuery, values_of
from dgrid.batch.shares import JobShares, own_gpus, ranges
from dgrid.batch.sources import Sources, Surroundings
from dgrid.batch.system import BatchSystem
from dgrid.errors import UsageError
from dgrid.plan.job_share import JobShare


def list_nodes(around: Surroundings) -> JobNodes:
    """``LSB_MCPU_HOSTS="h1 2 h2 4"``, else the file of $LSB_DJOB_HOSTFILE, else $LSB_HOSTS, a name for each slot.

    LSB_HOSTS is not set for jobs with very many slots. Raises UsageError and NodeFileError.
    """
    environment = around.environment
    if value := environment.get("LSB_MCPU_HOSTS"):
        listed = _of("LSB_MCPU_HOSTS", value, _pairs(value))
    elif environment.get("LSB_DJOB_HOSTFILE"):
        listed = of_node_file(around, "LSB_DJOB_HOSTFILE")
    else:
        value = environment["LSB_HOSTS"]
        listed = _of("LSB_HOSTS", value, [(name, 1) for name in value.split()])
    return compared(listed, around, "LSB_DJOB_NUMPROC", listed.slots, listed.taken[0][1])


def shares(around: Surroundings) -> JobShares:
    """``host1 0,1,2,3 0 2`` in the file of $LSB_AFFINITY_HOSTFILE: host and CPUs of each task (IBM, CPU binding)."""
    told = own_gpus(around, "LSF")
    try:
        lines = read_named(around, "LSB_AFFINITY_HOSTFILE").decode("utf-8", "replace").splitlines()
    except (UsageError, KeyError):
        return told
    cpus: dict[str, set[int]] = {}
    for words in (line.split() for line in lines):
        if len(words) > 1:
            cpus.setdefault(words[0], set()).update(map(int, ranges(words[1])))
    there = {host: JobShare(cpus=tuple(sorted(found)), cpu_count=len(found)) for host, found in cpus.items() if found}
    return replace(told, there=there, taken=(*told.taken, ("CPUs", "the file of $LSB_AFFINITY_HOSTFILE")))


def time_left(sources: Sources, job_id: str) -> float | None:
    """``01:30 L`` of ``bjobs -o time_left``: hours and minutes to the run limit; an E is a guess (IBM, bjobs)."""
    said = sources.ask(("bjobs", "-noheader", "-o", "time_left", job_id)) or ""
    found = re.fullmatch(r"(\d+):(\d+) L", said.strip())
    return (int(found[1]) * 60 + int(found[2])) * 60.0 if found else None


def lsf_json(output: str) -> tuple[str, ...]:
    """``EXEC_HOST`` of ``bjobs -json``: "2*hostA:hostB", and "-" or nothing for a job that waits."""
    texts = (text for text in values_of(output, "EXEC_HOST") if isinstance(text, str))
    names = (part.rpartition("*")[2].strip() for text in texts for part in text.split(":"))
    return tuple(name for name in names if name not in ("", "-"))


LSF = BatchSystem(
    name="LSF",
    signs=("LSB_JOBID",),
    job_id="LSB_JOBID",
    list_nodes=list_nodes,
    nodes_in=("LSB_MCPU_HOSTS", "LSB_DJOB_HOSTFILE", "LSB_HOSTS"),
    job_name="LSB_JOBNAME",
    owner="LSFUSER",
    submit_directory="LS_SUBCWD",
    array_index="LSB_JOBINDEX",
    no_index="0",
    # No lists of hosts, no files of the host, and nothing of LSF_*, where the cluster's own settings are.
    also=frozenset(
        {"LSB_JOBID", "LSB_JOBINDEX", "LSB_JOBNAME", "LSB_QUEUE", "LSB_RESTART", "LSB_DJOB_NUMPROC"}
        | {"LSB_JOBINDEX_STEP", "LSB_PROJECT_NAME", "LSB_SUB_HOST", "LS_SUBCWD"}
    ),
    reach=("blaunch",),
    # INT, 10 s later TERM, 10 s later KILL: JOB_TERMINATE_INTERVAL of lsb.params(5).
    leaves_s=10.0,
    signals="INT, TERM after JOB_TERMINATE_INTERVAL, KILL after another",
    shares=shares,
    time_left=time_left,
    query=JobQuery(("bjobs", "-o", "exec_host", "-json", "{job}"), lsf_json),
)


def _of(variable: str, value: str, pairs: list[tuple[str, int]]) -> JobNodes:
    return JobNodes(checked(pairs, variable, value), f"LSF's ${variable}", (("nodes and slots", f"${variable}"),))


def _pairs(value: str) -> list[tuple[str, int]]:
    words = value.split()
    names, counts = words[::2], words[1::2]
    if len(names) != len(counts) or not all(count.isdecimal() and int(count) > 0 for count in counts):
        raise unreadable("LSB_MCPU_HOSTS", value, 'hosts and slots are written as in "host1 2 host2 4"')
    return list(zip(names, map(int, counts), strict=True))
