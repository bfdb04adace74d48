"""Slurm: sbatch, salloc, and heterogeneous jobs.

Measured on 24.11.5. sbatch(1), "Output environment variables"; Slurm's page on heterogeneous jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain, repeat

from dgrid.batch.listing import JobNodes, checked, compared, unfolded, unreadable
from dgrid.batch.query import JobQuery
from dgrid.batch.shares import JobShares, gpu_ids, megabytes, ranges
from dgrid.batch.sources import Sources, Surroundings, duration
from dgrid.batch.system import BatchSystem
from dgrid.plan.job_share import JobShare

_COUNT = re.compile(r"(\d{1,6})(?:\(x(\d{1,6})\))?")
# "Nodes=node[1-2] CPU_IDs=0-1 Mem=512 GRES=gpu:a100:2(IDX:0-1)"; up to Slurm 19.05 "GRES_IDX=gpu(IDX:0-1)".
_DETAILS = re.compile(r"^\s*Nodes=(\S+)\s+CPU_IDs=(\S*)\s+Mem=(\d+)(.*)$", re.MULTILINE)
_INDICES = re.compile(r"\bgpu(?::[^,()\s]+)*\(IDX:([\d,-]*)\)")
# scontrol tells of all members of an array where the id is the array's own, which one of them has.
_MEMBER = re.compile(r"JobId=(\d+) ArrayJobId=")
_ASKED = "scontrol show job --details"


def list_nodes(around: Surroundings) -> JobNodes:
    """``SLURM_JOB_NODELIST=n[1-4]`` with ``SLURM_TASKS_PER_NODE=2(x3),1``: a task is a slot.

    Where the tasks are counted for another number of nodes (as in a step), the CPUs of each node are its slots. The
    nodes of a heterogeneous job are those of all its components. Raises UsageError.
    """
    pairs: list[tuple[str, int]] = []
    taken: dict[tuple[str, str], None] = {}
    contradictions: list[str] = []
    size, groups = _groups(around.environment)
    for group in groups:
        variable = _first_set(around.environment, group, "SLURM_JOB_NODELIST", "SLURM_NODELIST")
        names = unfolded(variable, around.environment[variable])
        counted, slots = _slots(around, group, variable, len(names), contradictions)
        pairs += zip(names, slots, strict=True)
        taken |= {("nodes", f"${variable}"): None, ("slots", counted): None}
    variables = ", ".join(text for what, text in taken if what == "nodes")
    nodes = checked(pairs, variables.replace("$", ""), ",".join(name for name, _ in pairs))
    listed = JobNodes(nodes, f"Slurm's {variables}", tuple(taken), tuple(contradictions))
    listed = compared(listed, around, size, len(groups), variables)
    if len(groups) > 1:  # there the variable counts the first component's
        return listed
    return compared(listed, around, "SLURM_JOB_NUM_NODES", len(nodes), variables)


def shares(around: Surroundings) -> JobShares:
    """Of all nodes by ``scontrol show job -d``: CPUs (their number; its CPU_IDs are not the kernel's), memory, GPUs.

    ``SLURM_STEP_GPUS`` and ``SLURM_JOB_GPUS`` tell of this node, by Slurm's numbers, which are those of /dev/nvidiaN.
    CUDA_VISIBLE_DEVICES counts from 0 where devices are confined, so only its UUIDs, as of MIG devices, say which.
    """
    job_id = around.environment.get("SLURM_JOB_ID", "")
    there: dict[str, JobShare] = {}
    for name, share in _details(around.ask(("scontrol", "show", "job", "--details", job_id)) or "", job_id):
        # Components of a heterogeneous job may be on one node.
        there[name] = there[name].joined(share) if name in there else share
    taken = [("CPUs, memory and GPUs of each node", f"`{_ASKED}`")] if there else []
    own: tuple[str, ...] | None = None
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS"):
        found = gpu_ids(around.environment.get(name, "")) or ()
        if found and (name != "CUDA_VISIBLE_DEVICES" or not found[0].isdecimal()):
            own, taken = found, [*taken, ("GPUs of this node", f"${name}")]
            break
    silence = "" if there else f"`{_ASKED}`, which tells of GPUs, says nothing"
    every = JobShare(memory_bytes=megabytes(around.environment.get("SLURM_MEM_PER_NODE", "")), silence=silence)
    return JobShares(JobShare(gpus=own), there, every, tuple(taken))


def time_left(sources: Sources, job_id: str) -> float | None:
    """squeue(1), %L: days-hours:minutes:seconds, and words where there is no limit. It knows of changes."""
    answer = sources.ask(("squeue", "--noheader", f"--jobs={job_id}", "--format=%L"))
    if answer is not None:
        return duration(answer.strip())
    end = sources.environment.get("SLURM_JOB_END_TIME", "")  # sbatch(1): seconds since 1970
    return int(end) - sources.now_s if end.isdecimal() else None


def slurm_list(output: str) -> tuple[str, ...]:
    """``slurm_list("node[1-2]\\n") == ("node[1-2]",)``; none for a job that waits (squeue(1), ``%N``)."""
    return tuple(line.strip() for line in output.splitlines() if line.strip() not in ("", "(null)", "n/a"))


# No SLURM_JOBID, SLURM_NODELIST, SLURM_TASKS_PER_NODE, SLURM_STEP_*, SLURM_PROCID in containers: an mpirun that finds
# them there starts its processes with srun, which no image has.
SLURM = BatchSystem(
    name="Slurm",
    signs=("SLURM_JOB_ID", "SLURM_JOBID"),
    job_id="SLURM_JOB_ID",
    list_nodes=list_nodes,
    nodes_in=("SLURM_JOB_NODELIST", "SLURM_NODELIST"),
    job_name="SLURM_JOB_NAME",
    owner="SLURM_JOB_USER",
    submit_directory="SLURM_SUBMIT_DIR",
    array_index="SLURM_ARRAY_TASK_ID",
    # In a batch script it is 0, as it is in a step of one task.
    rank="SLURM_PROCID",
    rank_remedy="call dgrid in the batch script itself, without srun",
    prefixes=("SLURM_ARRAY_",),
    also=frozenset(
        {"SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_JOB_USER", "SLURM_JOB_ACCOUNT", "SLURM_JOB_PARTITION"}
        | {"SLURM_JOB_QOS", "SLURM_JOB_NUM_NODES", "SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME", "SLURM_HET_SIZE"}
        | {"SLURM_SUBMIT_DIR", "SLURM_SUBMIT_HOST", "SLURM_CLUSTER_NAME", "SLURM_RESTART_COUNT"}
    ),
    # Beside the job's other steps, with all that the job has on the node; else output comes by lines.
    reach=("srun", "-Q", "--unbuffered", "--overlap", "-N1", "-n1", "--ntasks-per-node=1", "--cpu-bind=none", "-w"),
    # slurm.conf(5), KillWait: 30 s, "scontrol show config" tells a site's own. Before the end: sbatch --signal.
    leaves_s=30.0,
    signals="TERM, KILL after KillWait",
    time_left=time_left,
    shares=shares,
    query=JobQuery(("squeue", "-h", "-j", "{job}", "-o", "%N"), slurm_list, ("scontrol", "show", "hostnames")),
)


def _details(said: str, job_id: str) -> Iterator[tuple[str, JobShare]]:
    """Each node with what the job has there, as often as it is told."""
    for record in re.split(r"^(?=JobId=)", said, flags=re.MULTILINE):
        member = _MEMBER.match(record)
        if member is None or member[1] == job_id:
            yield from chain.from_iterable(map(_detail, _DETAILS.finditer(record)))


def _detail(line: re.Match[str]) -> Iterator[tuple[str, JobShare]]:
    """The nodes of a line of ``scontrol show job -d``, each with what it has."""
    nodes, cpus, memory, rest = line.groups()
    gpus = tuple(number for found in _INDICES.findall(rest) for number in ranges(found))
    share = JobShare(tuple(dict.fromkeys(gpus)), None, len(ranges(cpus)) or None, megabytes(memory))
    return ((name, share) for name in unfolded(_ASKED, nodes))


def _groups(environment: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """The variable with the number of components, and what the names of each one's end in: None, ("",) as a rule."""
    for size, ending in (("SLURM_HET_SIZE", "_HET_GROUP_"), ("SLURM_PACK_SIZE", "_PACK_GROUP_")):  # up to Slurm 19.05
        said = environment.get(size, "")
        if said.isdecimal() and int(said) > 1:
            groups = tuple(f"{ending}{number}" for number in range(min(int(said), 10_000)))
            return size, tuple(one for one in groups if environment.get(f"SLURM_JOB_NODELIST{one}")) or ("",)
    return None, ("",)


def _first_set(environment: Mapping[str, str], group: str, *names: str) -> str:
    found = (f"{name}{group}" for name in names if environment.get(f"{name}{group}"))
    return next(found, f"{names[0]}{group}")


def _slots(
    around: Surroundings, group: str, nodes: str, count: int, contradictions: list[str]
) -> tuple[str, tuple[int, ...]]:
    """Where the slots come from, and those of each node."""
    misfits: list[str] = []
    for variable in (f"SLURM_TASKS_PER_NODE{group}", f"SLURM_JOB_CPUS_PER_NODE{group}"):
        value = around.environment.get(variable, "")
        counts = tuple(_counts(variable, value)) if value else ()
        if counts and sum(times for _, times in counts) == count:
            contradictions += [f"{misfit}; the slots are those of ${variable}" for misfit in misfits]
            return f"${variable}", tuple(chain.from_iterable(repeat(slots, times) for slots, times in counts))
        if counts:
            number = sum(times for _, times in counts)
            misfits.append(f"${variable} is {value}, which is for {number} and not for the {count} nodes of ${nodes}")
    contradictions += [f"{misfit}; one slot a node was taken" for misfit in misfits]
    return "none: one a node", (1,) * count


def _counts(variable: str, value: str) -> Iterator[tuple[int, int]]:
    """``"2(x3),1"``: (2, 3), (1, 1)."""
    for part in value.split(","):
        found = _COUNT.fullmatch(part.strip())
        if found is None or int(found[1]) < 1:
            raise unreadable(variable, value, 'counts are written as in "2(x3),1"')
        yield int(found[1]), int(found[2] or 1)
