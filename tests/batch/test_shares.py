"""What of each node is the job's: GPUs, CPUs and memory, as each batch system tells. The devices are made up."""

from dataclasses import replace

import pytest
from environments import (
    FLUX,
    GRID_ENGINE,
    HTCONDOR,
    LSF,
    OAR,
    OAR_RESOURCES,
    OPENPBS,
    SLURM_HETEROGENEOUS,
    SLURM_TWO_NODES,
    SLURM_WITH_TORQUE_COMMANDS,
    TORQUE,
    around,
)

from dgrid.batch.detect import detect_in, shares_of
from dgrid.plan.job_share import JobShare

MB = 1024**2
SCONTROL = ("scontrol", "show", "job", "--details", "1")
# Captured: Slurm 24.11.5 of Debian trixie, with device files of a lab as GPUs, sbatch -N2 --mem=512
# --gpus-per-node=a100:1,v100:1, cut short; and the same line of a job without GPUs.
TWO_KINDS = """JobId=1 JobName=job.sh
   JobState=RUNNING Reason=None Dependency=(null)
   JOB_GRES=gpu:a100:2,gpu:v100:2
     Nodes=node[1-2] CPU_IDs=3 Mem=512 GRES=gpu:a100:1(IDX:0),gpu:v100:1(IDX:2)
   MinCPUsNode=1 MinMemoryNode=512M MinTmpDiskNode=0
"""
NO_GPUS = "     Nodes=node1 CPU_IDs=0-1,3 Mem=0 GRES=\n     Nodes=node2 CPU_IDs=0 Mem=0 GRES=\n"
OLD = "     Nodes=node[1-2] CPU_IDs=0-3 Mem=100 GRES_IDX=gpu(IDX:0-1,3)\n"
# After scontrol's source, 24.11 (slurm_sprint_job_info, _pack_one_job): a component, or a member of an array, each.
HETEROGENEOUS = """JobId=2 HetJobId=2 HetJobOffset=0 JobName=job.sh
     Nodes=node1 CPU_IDs=0-1 Mem=100 GRES=gpu:a100:2(IDX:1,0)
JobId=3 HetJobId=2 HetJobOffset=1 JobName=job.sh
     Nodes=node[1-2] CPU_IDs=2 Mem=200 GRES=gpu:2(IDX:0,2)
"""
ARRAY = """JobId=1 ArrayJobId=1 ArrayTaskId=9 JobName=job.sh
     Nodes=node1 CPU_IDs=0-1 Mem=100 GRES=
JobId=8 ArrayJobId=1 ArrayTaskId=3 JobName=job.sh
     Nodes=node[1-2] CPU_IDs=2-5 Mem=100 GRES=
"""
OAR_WITH_GPUS = """network_address = 'node1' , host = 'node1' , cpuset = '2' , gpudevice = '1' , type = 'default'
network_address = 'node1' , host = 'node1' , cpuset = '3,7' , gpudevice = '1' , type = 'default'
network_address = 'node2' , host = 'node2' , cpuset = '0' , gpudevice = '0' , type = 'default'
network_address = 'node2' , host = 'node2' , cpuset = '0' , gpudevice = '3' , type = 'default'
"""
# After the PBS Reference Guide: exec_vnode.
EXEC_VNODE = (
    '{"Jobs": {"38[2].head": {"exec_vnode": '
    '"(n1[0]:ncpus=2:mem=1048576kb:ngpus=1+n1[1]:ncpus=1)+(n2:ncpus=4:arch=x)"}}}'
)
R = (
    '{"version": 1, "execution": {"R_lite": [{"rank": "0-1", "children": {"core": "0-3", "gpu": "0,2"}}, '
    '{"rank": "5", "children": {"core": "7"}}], "nodelist": ["host[2-3]", "big1"]}}'
)


def told(environment, changes=None, files=None, answers=None):
    """The shares of the job there, with what commands say."""
    seen = around(environment, changes, files)
    seen = replace(seen, ask=(answers or {}).get if answers is not None else seen.ask)
    job = detect_in(seen)
    assert job is not None
    return shares_of(job, seen)


@pytest.mark.parametrize(
    ("said", "node1", "node2"),
    [
        (TWO_KINDS, JobShare(("0", "2"), None, 1, 512 * MB), JobShare(("0", "2"), None, 1, 512 * MB)),
        (NO_GPUS, JobShare((), None, 3), JobShare((), None, 1)),
        (OLD, JobShare(("0", "1", "3"), None, 4, 100 * MB), JobShare(("0", "1", "3"), None, 4, 100 * MB)),
    ],
)
def test_slurm_tells_of_every_node(said, node1, node2):
    """Its CPU_IDs are not the kernel's: only how many they are counts."""
    shares = told(SLURM_TWO_NODES, answers={SCONTROL: said})
    assert (shares.of("node1", True), shares.of("node2", False)) == (node1, node2)
    assert dict(shares.taken) == {"CPUs, memory and GPUs of each node": "`scontrol show job --details`"}


def test_two_components_of_a_job_on_one_node_are_summed_up():
    """A heterogeneous job of Slurm's has on that node what both have; of a node with one it is that one's."""
    said = HETEROGENEOUS
    shares = told(SLURM_HETEROGENEOUS, answers={(*SCONTROL[:-1], "2"): said})
    assert shares.of("node1", True) == JobShare(("1", "0", "2"), None, 3, 300 * MB)
    assert shares.of("node2", False) == JobShare(("0", "2"), None, 1, 200 * MB)
    untold = told(SLURM_HETEROGENEOUS, answers={(*SCONTROL[:-1], "2"): said.replace("Mem=100", "Mem=0")})
    assert untold.of("node1", True).memory_bytes is None


def test_other_members_of_an_array_are_other_jobs():
    """scontrol tells of all of them where the job's id is the array's, too."""
    shares = told(SLURM_TWO_NODES, answers={SCONTROL: ARRAY})
    assert (shares.of("node1", True).cpu_count, shares.of("node2", False).cpu_count) == (2, None)


def test_slurm_without_its_command_tells_of_this_node():
    """By its own variables: CUDA's counts from 0 where devices are confined."""
    shares = told(
        SLURM_TWO_NODES,
        {"SLURM_JOB_GPUS": "1,3", "CUDA_VISIBLE_DEVICES": "0,1", "SLURM_MEM_PER_NODE": "512"},
        answers={},
    )
    assert shares.of("node1", True).gpus == ("1", "3")
    other = shares.of("node2", False)
    assert (other.gpus, other.memory_bytes) == (None, 512 * MB)
    assert "says nothing" in other.silence
    assert ("GPUs of this node", "$SLURM_JOB_GPUS") in shares.taken


def test_a_step_of_slurm_has_its_own_gpus_and_mig_devices_their_uuids():
    """The narrower of two; an index says nothing of a part of a GPU."""
    job = {"SLURM_JOB_GPUS": "0,1", "SLURM_STEP_GPUS": "1"}
    assert told(SLURM_TWO_NODES, job, answers={}).of("node1", True).gpus == ("1",)
    mig = {**job, "CUDA_VISIBLE_DEVICES": "MIG-5c4f1a2b-0000"}
    assert told(SLURM_TWO_NODES, mig, answers={}).of("node1", True).gpus == ("MIG-5c4f1a2b-0000",)


def test_with_slurms_torque_commands_it_is_slurm_that_tells():
    """It gave the resources."""
    command = (*SCONTROL[:-1], "7")
    said = "     Nodes=n[1-2] CPU_IDs=0 Mem=0 GRES=gpu:1(IDX:5)\n"
    shares = told(SLURM_WITH_TORQUE_COMMANDS, answers={command: said})
    assert shares.of("n2", False).gpus == ("5",)


def test_openpbs_tells_how_many_and_of_this_node_which():
    """exec_vnode names vnodes, which may be parts of a host."""
    answers = {("qstat", "-f", "-F", "json", "38[2].head"): EXEC_VNODE}
    shares = told(OPENPBS, {"CUDA_VISIBLE_DEVICES": "GPU-5c4f"}, answers=answers)
    assert shares.of("n1.cluster", True) == JobShare(("GPU-5c4f",), None, 3, 1024 * MB, shares.every.silence)
    assert shares.of("n2", False) == JobShare((), None, 4, None, shares.every.silence)
    elsewhere = told(OPENPBS, answers=answers).of("n1", False)
    assert elsewhere.gpus is None
    assert "does not tell which GPUs" in elsewhere.silence
    assert told(OPENPBS, answers={}).of("n2", True).cpu_count == 2  # $NCPUS


def test_torque_tells_by_a_file():
    """Of all nodes; who is not in it has none."""
    files = {"/aux/0.headgpu": "n1-gpu1\nn1-gpu0\nbig-gpu-2-gpu3\n"}
    shares = told(TORQUE, {"PBS_GPUFILE": "/aux/0.headgpu"}, files)
    assert [shares.of(name, False).gpus for name in ("n1", "big-gpu-2", "n2")] == [("1", "0"), ("3",), ()]
    assert told(TORQUE).of("n1", True).gpus is None
    assert told(TORQUE, {"CUDA_VISIBLE_DEVICES": "2"}).of("n1", True).gpus == ("2",)


def test_oar_tells_by_the_properties_of_its_resources():
    """Of CPUs where the site has set them: as OAR makes them, all are 0."""
    shares = told(OAR, files={"/var/lib/oar/1_resources": OAR_WITH_GPUS})
    assert shares.of("node1", True) == JobShare(("1",), (2, 3, 7), 3, None, shares.every.silence)
    assert shares.of("node2", False) == JobShare(("0", "3"), None, None, None, shares.every.silence)
    without = told(OAR, files={"/var/lib/oar/1_resources": OAR_WITH_GPUS.replace("gpudevice", "other")})
    assert without.of("node1", True).gpus is None
    assert "no property gpudevice" in without.of("node1", True).silence
    assert "cannot be read" in told(OAR).of("node1", True).silence


def test_oar_tells_in_the_lab():
    """As captured there: two of each node's cores."""
    shares = told(OAR, files={"/var/lib/oar/1_resources": OAR_RESOURCES})
    assert [shares.of(node, True).cpus for node in ("node1", "node2")] == [(0, 1), (0, 1)]


def test_htcondor_tells_of_its_slot_on_this_node():
    """In the machine ad; CUDA_VISIBLE_DEVICES=10000 is its word for none (measured, 23.9.6)."""
    ad = HTCONDOR["_CONDOR_MACHINE_AD"]
    files = {
        HTCONDOR["_CONDOR_JOB_AD"]: "ClusterId = 5\n",
        ad: 'AssignedGPUs = "GPU-5c4f,CUDA1"\nCpus = 4\nMemory = 2048',
    }
    shares = told(HTCONDOR, files=files)
    assert shares.of("cnode2", True) == JobShare(("GPU-5c4f", "1"), None, 4, 2048 * MB, shares.every.silence)
    assert shares.of("cnode3", False).gpus is None
    none = told(HTCONDOR, {"CUDA_VISIBLE_DEVICES": "10000"}, {**files, ad: "Cpus = 1\n"})
    assert none.of("cnode2", True).gpus == ()


def test_lsf_tells_cpus_by_a_file_and_gpus_by_cudas_variable():
    """A line for each task."""
    files = {"/tmp/affinity": "hostB 0,1 0 1\nhostB 4-5 0 1\nhostA 7\n"}
    changes = {"LSB_AFFINITY_HOSTFILE": "/tmp/affinity", "CUDA_VISIBLE_DEVICES": "0,1"}
    shares = told(LSF, changes, files)
    assert shares.of("hostB", True) == JobShare(("0", "1"), (0, 1, 4, 5), 4, None, shares.every.silence)
    assert shares.of("hostA", False).cpus == (7,)
    assert told(LSF).there == {}


def test_flux_tells_of_every_node():
    """Its R counts ranks in the order of its nodes."""
    shares = told(FLUX, {"FLUX_JOB_ID": "f5"}, answers={("flux", "job", "info", "f5", "R"): R})
    assert [shares.of(name, False).gpus for name in ("host2", "host3", "big1")] == [("0", "2"), ("0", "2"), ()]
    assert [shares.of(name, False).cpu_count for name in ("host2", "big1")] == [4, 1]
    assert told(FLUX, answers={("flux", "resource", "R"): "{}"}).of("host2", True).gpus is None


def test_grid_engine_tells_of_this_node():
    """A map of resources, else CUDA's variable."""
    assert told(GRID_ENGINE, {"SGE_HGR_gpu": "0 3"}).of("labs-snode2", True).gpus == ("0", "3")
    assert told(GRID_ENGINE, {"CUDA_VISIBLE_DEVICES": "1"}).of("labs-snode2", True).gpus == ("1",)
    assert "only which GPUs of dgrid's own node" in told(GRID_ENGINE).of("labs-snode1", False).silence


@pytest.mark.parametrize("value", ["", "all", "NoDevFiles", "-1", "0;1", "gpu0"])
def test_what_is_no_list_of_gpus_tells_nothing(value):
    """As Slurm's NoDevFiles."""
    assert told(GRID_ENGINE, {"CUDA_VISIBLE_DEVICES": value}).of("labs-snode2", True).gpus is None
