"""Each instance's own CPUs and GPUs out of the job's on its node. The devices are made up."""

import json
from dataclasses import replace

import pytest
from made import ALICE, HEAD, define, nodes, planned, worker

from dgrid.errors import PlanError
from dgrid.plan.allocation import Allocation, this_machine
from dgrid.plan.definition import Resources, ScalePer
from dgrid.plan.docker_json import create_body
from dgrid.plan.facts import NodeFacts
from dgrid.plan.job_cgroup import EngineCgroups, Hierarchy, Level, decide
from dgrid.plan.job_limits import Affinity, JobLimits
from dgrid.plan.job_share import JobShare, cpu_list, cpu_numbers, shared
from dgrid.plan.parse import parse_definition
from dgrid.plan.plan import make_plan

GB = 1024**3
EIGHT = Affinity("0-7", "0-7")


def has(allocation: Allocation, **shares: JobShare) -> Allocation:
    """With what of each node is the job's; of one that is not named nothing is told."""
    return replace(
        allocation, nodes=tuple(replace(one, share=shares.get(one.name, JobShare())) for one in allocation.nodes)
    )


def body(plan, name):
    return create_body(next(one.request for one in plan.instances if one.name == name))


def host_config(plan, name):
    return body(plan, name)["HostConfig"]


def refusal(definition, allocation, facts=None):
    with pytest.raises(PlanError) as caught:
        planned(definition, allocation, facts)
    return str(caught.value)


def gpu_worker(gpus=1, name="w", **keys):
    return worker(name, resources=Resources(gpus=gpus), **keys)


def test_each_instance_has_its_own_gpus_of_the_jobs():
    """By the ids that the engine takes, no two the same on a node, and none that is not the job's."""
    allocation = has(nodes(4, 4), node1=JobShare(("1", "3", "4")), node2=JobShare(("0", "2")))
    plan = planned(define(gpu_worker(scale=3), head=replace(HEAD, resources=Resources(gpus=2))), allocation)
    given = {
        (one.node.name, one.name): create_body(one.request)["HostConfig"]["DeviceRequests"] for one in plan.instances
    }
    assert given == {
        ("node1", "head"): [{"DeviceIDs": ["1", "3"], "Capabilities": [["gpu"]]}],
        ("node1", "w-3"): [{"DeviceIDs": ["4"], "Capabilities": [["gpu"]]}],
        ("node2", "w-1"): [{"DeviceIDs": ["0"], "Capabilities": [["gpu"]]}],
        ("node2", "w-2"): [{"DeviceIDs": ["2"], "Capabilities": [["gpu"]]}],
    }


@pytest.mark.parametrize(
    ("gpus", "nvidia", "cuda"),
    [
        (("1", "3"), "1,3", "0,1"),
        (("GPU-5c4f", "GPU-77aa"), "GPU-5c4f,GPU-77aa", "GPU-5c4f,GPU-77aa"),
    ],
)
def test_the_variables_fit_the_gpus(gpus, nvidia, cuda):
    """CUDA counts what it sees in the container from 0; UUIDs are the same everywhere."""
    plan = planned(define(head=replace(HEAD, resources=Resources(gpus=2))), has(nodes(1), node1=JobShare(gpus)))
    environment = body(plan, "head")["Env"]
    assert [one for one in environment if "VISIBLE" in one] == [
        f"NVIDIA_VISIBLE_DEVICES={nvidia}",
        f"CUDA_VISIBLE_DEVICES={cuda}",
    ]


def test_in_a_job_who_asks_for_no_gpus_has_none():
    """Images of CUDA ask for all of them, and so may a definition; its choice among its own stays."""
    asking = (("NVIDIA_VISIBLE_DEVICES", "all"), ("CUDA_VISIBLE_DEVICES", "1"))
    allocation = has(nodes(2), node1=JobShare(("0", "1")))
    plan = planned(define(worker("w", environment=asking), head=replace(HEAD, resources=Resources(gpus=2))), allocation)
    assert "DeviceRequests" not in host_config(plan, "w")
    assert [one for one in body(plan, "w")["Env"] if one.startswith("NVIDIA")] == ["NVIDIA_VISIBLE_DEVICES=void"]
    assert "CUDA_VISIBLE_DEVICES=1" in body(plan, "w")["Env"]


def test_outside_a_job_the_engine_chooses():
    """Nobody says whose they are."""
    plan = make_plan(define(gpu_worker(2)), this_machine("laptop"), ALICE, "s1", {})
    assert host_config(plan, "w")["DeviceRequests"] == [{"Count": 2, "Capabilities": [["gpu"]]}]
    assert not [one for one in body(plan, "w")["Env"] if "VISIBLE" in one]


@pytest.mark.parametrize(
    ("share", "there"),
    [
        (JobShare(("0",)), "the job has 1 there"),
        (JobShare(()), "the job has 0 there"),
        (JobShare(silence="PBS does not tell"), "of none there it is known to be the job's (PBS does not tell)"),
    ],
)
def test_more_gpus_than_the_job_has(share, there):
    """Both numbers, and all nodes on which it is so; a system that does not tell says why."""
    text = refusal(define(gpu_worker(2, scale=ScalePer.NODE)), has(nodes(3, 3), node1=share, node2=share))
    assert text == (
        f'container "w": resources.gpus: the instances on node[1-2] ask for 2 GPUs, but {there} — '
        'ask the batch system for more on each node, or lower "gpus" or the number of instances there'
    )


def test_the_place_in_the_file_is_told():
    """File, line and column, as of every mistake in a definition."""
    text = json.dumps(
        {
            "containers": [
                {"name": "head", "image": "a", "interactive": True, "resources": {"cpus": 2}},
                {"name": "w", "image": "a", "scale": 2, "resources": {"gpus": 3, "cpus": 1.5, "memory": "3g"}},
            ]
        },
        indent=1,
    )
    share = JobShare(("0", "1"), cpu_count=4, memory_bytes=5 * GB)
    lines = refusal(parse_definition(text.encode(), "job.json", {}), has(nodes(3), node1=share)).splitlines()
    assert [line.partition(" — ")[0] for line in lines] == [
        "job.json:16:13: containers[1].resources.gpus: the instances on node1 ask for 6 GPUs, but the job has 2 there",
        "job.json:17:13: containers[1].resources.cpus: the instances on node1 ask for 5 CPUs, but the job has 4 there",
        "job.json:18:15: containers[1].resources.memory: the instances on node1 ask for 6g of memory, but the job has "
        "5g there",
    ]


@pytest.mark.parametrize(("scale", "cpus", "there"), [(15, 0.2, 3), (10, 0.7, 7), (3, 0.1, 1), (6, 0.3333, 2)])
def test_parts_of_cpus_that_fit_exactly(scale, cpus, there):
    """0.2 is no sum of powers of two: fifteen floats of it are more than 3."""
    definition = define(worker("w", scale=scale, resources=Resources(cpus=cpus)))
    allocation = has(nodes(scale + 1), node1=JobShare(cpu_count=there))
    assert len(planned(definition, allocation).instances) == scale + 1


def test_a_little_more_than_there_is():
    """With all its digits, or both numbers would be the same; told at the container with which it is too much."""
    definition = define(worker("v", resources=Resources(cpus=3)), worker("w", resources=Resources(cpus=1e-7)))
    text = refusal(definition, has(nodes(3), node1=JobShare(cpu_count=3)))
    assert text.startswith(
        'container "w": resources.cpus: the instances on node1 ask for 3.0000001 CPUs, but the job has 3 there — '
    )


def test_each_instance_has_its_own_cpus_of_the_jobs():
    """Whole numbers are disjoint sets; the others share what is left."""
    facts = {"node1": NodeFacts(job_limits=JobLimits(None, "2-5,8", GB))}
    definition = define(
        worker("two", resources=Resources(cpus=2)),
        worker("one", scale=2, resources=Resources(cpus=1)),
        worker("half", resources=Resources(cpus=0.5)),
        worker("any"),
    )
    plan = planned(definition, nodes(9), facts)
    sets = {one.name: create_body(one.request)["HostConfig"]["CpusetCpus"] for one in plan.instances}
    assert sets == {"head": "8", "two": "2-3", "one-1": "4", "one-2": "5", "half": "8", "any": "8"}


def test_a_job_with_all_cpus_of_the_node_shares_them_out_as_well():
    """Where its cgroup says that they are its own; who asks for none is as free as before."""
    path = "/slurm/uid_2001/job_12"
    cgroup = Hierarchy("cpuset", (Level(f"{path}/step_0", cpus="0-1"), Level(path, cpus="0-1"), Level("/", cpus="0-1")))
    limits = decide((cgroup,), EngineCgroups("cgroupfs", "1", rootless=False), "12")
    facts = {"node1": NodeFacts(job_limits=limits)}
    plan = planned(define(worker("w", resources=Resources(cpus=1)), worker("x")), nodes(9), facts)
    sets = {one.name: create_body(one.request)["HostConfig"].get("CpusetCpus") for one in plan.instances}
    assert sets == {"head": "1", "w": "0", "x": "1"}
    assert "CpusetCpus" not in host_config(planned(define(), nodes(9), facts), "head")


UNCONFINED = "/system.slice/slurmstepd.scope/job_12"


def unconfined(share):
    """A job of Slurm on a node with 8 CPUs, where its cgroup allows them all; and what is known of the node."""
    levels = (Level(f"{UNCONFINED}/step_0/user", cpus="0-7"), Level(UNCONFINED, cpus="0-7"), Level("/", cpus="0-7"))
    limits = decide((Hierarchy("unified", levels),), EngineCgroups("cgroupfs", "2", rootless=False), "12")
    return has(nodes(9), node1=share), {"node1": NodeFacts(job_limits=limits, affinity=EIGHT)}


def test_a_cgroup_with_all_cpus_makes_none_of_other_jobs_this_ones():
    """Slurm counts two, and does not tell which, so nobody is given one by its number; four of them are too many."""
    there = unconfined(JobShare((), cpu_count=2))
    plan = planned(define(worker("w", scale=2, resources=Resources(cpus=1))), *there)
    assert [host_config(plan, name).get("CpusetCpus") for name in ("w-1", "w-2")] == [None, None]
    assert host_config(plan, "w-1")["NanoCpus"] == 1_000_000_000
    text = refusal(define(worker("w", scale=2, resources=Resources(cpus=2))), *there)
    assert "the instances on node1 ask for 4 CPUs, but the job has 2 there" in text


@pytest.mark.parametrize(
    ("share", "cpuset"),
    [
        (JobShare((), cpu_count=8), "0-1"),
        (JobShare(()), "0-1"),  # nobody says that it has fewer
        (JobShare((), cpus=(4, 5), cpu_count=2), "4-5"),  # the batch system names them
        (JobShare((), cpu_count=16), None),  # it counts otherwise than the kernel
    ],
)
def test_where_a_cgroup_with_all_cpus_has_the_jobs_own(share, cpuset):
    """The whole node, or as the batch system says."""
    plan = planned(define(worker("w", resources=Resources(cpus=2))), *unconfined(share))
    assert host_config(plan, "w").get("CpusetCpus") == cpuset


@pytest.mark.parametrize(("told", "cpuset"), [(2, "0-5"), (6, "0-1"), (8, "0-1"), (None, "0-1")])
def test_the_cpus_of_a_process_may_be_those_of_several_jobs(told, cpuset):
    """As where a site keeps all jobs from two CPUs of each node: then they confine, and are not shared out."""
    facts = {"node1": NodeFacts(affinity=Affinity("0-5", "0-7", of_job=True))}
    allocation = has(nodes(2), node1=JobShare(cpu_count=told))
    plan = planned(define(worker("w", resources=Resources(cpus=2))), allocation, facts)
    assert host_config(plan, "w")["CpusetCpus"] == cpuset


def test_a_cgroup_narrower_than_the_node_is_the_jobs_own():
    """Where the batch system counts cores, it has more CPUs, and instances may ask for what was counted."""
    facts = {"node1": NodeFacts(job_limits=JobLimits("/slurm/job_1", "0-1,4-5"))}
    allocation = has(nodes(3), node1=JobShare(cpu_count=2))
    plan = planned(define(worker("w", scale=2, resources=Resources(cpus=1))), allocation, facts)
    assert [host_config(plan, name)["CpusetCpus"] for name in ("w-1", "w-2", "head")] == ["0", "1", "4-5"]
    text = refusal(define(worker("w", resources=Resources(cpus=3))), allocation, facts)
    assert "ask for 3 CPUs, but the job has 2 there" in text


def test_who_asks_for_no_cpus_has_all_of_the_jobs_where_none_is_left():
    """In the job's cgroup as well, which has the job's own."""
    facts = {"node1": NodeFacts(job_limits=JobLimits("/slurm/job_1", "0-1"))}
    plan = planned(define(worker("w", scale=2, resources=Resources(cpus=1))), nodes(9), facts)
    sets = {one.name: create_body(one.request)["HostConfig"]["CpusetCpus"] for one in plan.instances}
    assert sets == {"head": "0-1", "w-1": "0", "w-2": "1"}
    assert host_config(plan, "w-1")["CgroupParent"] == "/slurm/job_1"


def test_without_a_set_cpus_are_an_amount():
    """Nothing is known of which CPUs are the job's."""
    plan = planned(define(worker("w", resources=Resources(cpus=2))), has(nodes(2), node1=JobShare(cpu_count=2)))
    assert "CpusetCpus" not in host_config(plan, "w")
    assert host_config(plan, "w")["NanoCpus"] == 2_000_000_000


def test_a_machine_that_poses_as_several_nodes_has_its_cpus_once():
    """With --local all nodes are one machine."""
    facts = {f"local{number}": NodeFacts(job_limits=JobLimits(None, "0-1")) for number in (1, 2)}
    allocation = this_machine("laptop", 2)
    definition = define(worker("w", scale=2, resources=Resources(cpus=1)))
    plan = make_plan(definition, allocation, ALICE, "s1", facts)
    assert {host_config(plan, name)["CpusetCpus"] for name in ("w-1", "w-2")} == {"0", "1"}


@pytest.mark.parametrize(
    ("limits", "affinity", "share", "cpuset"),
    [
        (JobLimits(), Affinity("2-3", "0-7", of_job=True), JobShare(), "2-3"),
        (JobLimits(), Affinity("2-3", "0-7"), JobShare(), None),  # of a log-in
        (JobLimits("/job", "0-3"), Affinity("2", "0-7", of_job=True), JobShare(), "2"),
        (JobLimits("/job", "0-3"), Affinity("0-3", "0-7", of_job=True), JobShare(), None),  # the cgroup says it
        (JobLimits(), EIGHT, JobShare(cpus=(1, 4)), "1,4"),
        (JobLimits(), EIGHT, JobShare(cpus=(6, 9)), None),  # there is no CPU 9
        (JobLimits(None, "0-1"), EIGHT, JobShare(cpus=(1, 4)), "0-1"),
        (JobLimits(), None, JobShare(cpus=(1, 4)), None),
    ],
)
def test_where_the_jobs_set_of_cpus_comes_from(limits, affinity, share, cpuset):
    """Its cgroup, its own process there, what the batch system tells: in this order the real thing first."""
    facts = {"node1": NodeFacts(job_limits=limits, affinity=affinity)}
    plan = planned(define(), has(nodes(2), node1=share), facts)
    assert host_config(plan, "head").get("CpusetCpus") == cpuset


def test_the_jobs_memory_is_a_limit_where_only_the_batch_system_tells_it():
    """Rootless engines are left alone, as with limits of cgroups."""
    allocation = has(nodes(2), node1=JobShare(memory_bytes=2 * GB))
    known = NodeFacts(affinity=EIGHT)
    assert host_config(planned(define(), allocation, {"node1": known}), "head")["Memory"] == 2 * GB
    rootless = planned(define(), allocation, {"node1": replace(known, rootless=True)})
    assert "Memory" not in host_config(rootless, "head")


@pytest.mark.parametrize("slots", [1000])
def test_many_instances_take_no_time(slots):
    """A thousand on one node."""
    share = JobShare(tuple(map(str, range(slots))))
    plan = planned(define(gpu_worker(scale=ScalePer.SLOT)), has(nodes(slots), node1=share))
    assert host_config(plan, f"w-{slots - 1}")["DeviceRequests"][0]["DeviceIDs"] == [str(slots - 2)]


def test_sets_of_cpus_as_the_kernel_writes_them():
    """There and back."""
    for text in ("0", "0-3", "0-3,8", "1,3,5-6"):
        assert cpu_list(cpu_numbers(text)) == text


def test_a_share_in_words():
    """For dgrid doctor; what is not told is left out."""
    assert shared(JobShare(("0", "2"), cpu_count=1, memory_bytes=GB)) == "GPUs 0 and 2, 1 CPU, 1g of memory"
    assert shared(JobShare((), cpus=(0, 1), cpu_count=2)) == "no GPU, CPUs 0-1"
    assert shared(JobShare()) == ""
