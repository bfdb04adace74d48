"""Grid Engine: Son of Grid Engine and its relatives. Measured on 8.1.9."""

from __future__ import annotations

import re

from dgrid.batch.listing import JobNodes, checked, compared, number_of, read_named, unreadable
from dgrid.batch.shares import JobShares, own_gpus
from dgrid.batch.sources import Sources, Surroundings, left_by_age
from dgrid.batch.system import BatchSystem


def list_nodes(around: Surroundings) -> JobNodes:
    """``node2 4 all.q@node2 UNDEFINED`` in $PE_HOSTFILE: host, slots, queue, processors.

    Without a parallel environment the job is on this machine alone, with $NSLOTS slots. Raises UsageError.
    """
    if not around.environment.get("PE_HOSTFILE"):
        slots = number_of(around, "NSLOTS")
        taken = (("nodes", "this machine: there is no $PE_HOSTFILE"), ("slots", "$NSLOTS" if slots else "none: one"))
        return JobNodes(((around.hostname, slots or 1),), "this machine, a job without a parallel environment", taken)
    path = around.environment["PE_HOSTFILE"]
    text = read_named(around, "PE_HOSTFILE").decode("utf-8", "surrogateescape")
    file = f"file {path} of $PE_HOSTFILE"
    pairs = [_host(line, file) for line in text.splitlines() if line.strip()]
    nodes = checked(pairs, file, text.strip())
    named = "the file of $PE_HOSTFILE"
    listed = JobNodes(nodes, f"host file {path}", (("nodes and slots", named),))
    listed = compared(listed, around, "NSLOTS", listed.slots, named)
    return compared(listed, around, "NHOSTS", len(nodes), named)


def shares(around: Surroundings) -> JobShares:
    """Of this node by ``SGE_HGR_gpu`` (a map of resources of Univa's and Altair's, sge_resource_map(5)), or CUDA's."""
    return own_gpus(around, "Grid Engine", "SGE_HGR_gpu", "SGE_HGR_gpus")


def time_left(sources: Sources, job_id: str) -> float | None:
    """``hard resource_list: h_rt=60,...`` of ``qstat -j``, less the age of the job's first process.

    A limit of the queue's, which is not asked for, is not seen.
    """
    said = sources.ask(("qstat", "-j", job_id)) or ""
    found = re.search(r"^hard[_ ]resource_list:\s.*?\bh_rt=([\d:]+)", said, re.MULTILINE)
    return left_by_age(sources, found[1] if found else "")


GRID_ENGINE = BatchSystem(
    name="Grid Engine",
    # JOB_ID alone shows nothing: CI systems set it as well.
    signs=("SGE_JOB_SPOOL_DIR", "PE_HOSTFILE"),
    job_id="JOB_ID",
    list_nodes=list_nodes,
    job_name="JOB_NAME",
    owner="LOGNAME",
    submit_directory="SGE_O_WORKDIR",
    array_index="SGE_TASK_ID",
    no_index="undefined",
    prefixes=("SGE_TASK_",),
    # Neither PE_HOSTFILE, SGE_ROOT nor ARC: an mpirun that finds them starts its processes with qrsh.
    also=frozenset(
        {"JOB_ID", "JOB_NAME", "NHOSTS", "NSLOTS", "PE", "QUEUE", "RESTARTED", "SGE_ACCOUNT", "SGE_O_HOST"}
        | {"SGE_CELL", "SGE_CWD_PATH", "SGE_O_WORKDIR"}
    ),
    # What ssh starts is no part of the job, and survives it.
    reach=("qrsh", "-inherit"),
    # KILL alone; with qsub -notify USR2 to all processes, and KILL after the queue's "notify" (60 s).
    leaves_s=None,
    shares=shares,
    time_left=time_left,
    signals="KILL at once; with -notify, USR2 to all processes, and KILL after the queue's notify",
)


def _host(line: str, file: str) -> tuple[str, int]:
    words = line.split()
    if len(words) < 2 or not words[1].isdecimal() or int(words[1]) < 1:
        raise unreadable(file, line, "a line is: host slots queue processors")
    return words[0], int(words[1])
