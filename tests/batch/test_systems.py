"""Each batch system: what is read from a job of its, and what is said of one that makes no sense."""

import re
import subprocess
from dataclasses import replace

import pytest
from environments import (
    FILES,
    FLUX,
    GRID_ENGINE,
    HTCONDOR,
    LSF,
    OAR,
    OPENPBS,
    SLURM,
    SLURM_HETEROGENEOUS,
    SLURM_LARGER_GROUP,
    SLURM_STEP,
    SLURM_TWO_NODES,
    SLURM_WITH_TORQUE_COMMANDS,
    TORQUE,
    around,
)

from dgrid.batch.detect import SYSTEMS, detect_in, nodes_of, other_rank, shares_of, tells_nodes
from dgrid.batch.slurm import SLURM as SLURM_ROW
from dgrid.errors import NodeFileError, UsageError

SRUN = "srun -Q --unbuffered --overlap -N1 -n1 --ntasks-per-node=1 --cpu-bind=none -w"


def read(environment, changes=None, files=None):
    """The job and its nodes."""
    seen = around(environment, changes, files)
    job = detect_in(seen)
    assert job is not None
    return job, nodes_of(job, seen)


@pytest.mark.parametrize(
    ("environment", "system", "job_id", "nodes", "reach"),
    [
        (OPENPBS, "PBS", "38[2].head", (("n2", 2), ("n1", 2)), "ssh"),
        (TORQUE, "Torque", "0.head", (("n1", 2), ("n2", 2)), "ssh"),
        (
            SLURM,
            "Slurm",
            "17",
            (("n1", 2), ("n2", 2), ("n3", 2), ("gpu1", 1)),
            SRUN,
        ),
        (SLURM_TWO_NODES, "Slurm", "1", (("node1", 2), ("node2", 2)), None),
        (SLURM_HETEROGENEOUS, "Slurm", "2", (("node1", 1), ("node2", 2)), None),
        (SLURM_LARGER_GROUP, "Slurm", "2", (("node1", 3), ("big08", 4), ("big09", 4), ("big10", 2)), None),
        (SLURM_WITH_TORQUE_COMMANDS, "PBS", "7", (("n1", 1), ("n2", 1)), SRUN),
        (OAR, "OAR", "1", (("node1", 2), ("node2", 2)), "oarsh"),
        (GRID_ENGINE, "Grid Engine", "1", (("labs-snode2", 1), ("labs-snode1", 1)), "qrsh -inherit"),
        (HTCONDOR, "HTCondor", "5.0", (("cnode2", 1), ("cnode3", 1)), "ssh"),
        (LSF, "LSF", "1234", (("hostB", 2), ("hostA", 4)), "blaunch"),
        (FLUX, "Flux", "ƒ3ETxsR9H", (("host2", 4), ("host3", 4)), "ssh"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_job_tells_its_id_and_nodes(environment, system, job_id, nodes, reach):
    """In the system's own order, which is that of its counts; nothing contradicts."""
    job, listed = read(environment)
    assert (job.system, job.job_id, listed.nodes, listed.contradictions) == (system, job_id, nodes, ())
    assert reach is None or " ".join(job.reach) == reach


@pytest.mark.parametrize(
    ("environment", "facts"),
    [
        (OPENPBS, ("job.sh", "alice", "/home/alice/job", "2")),
        (TORQUE, (None, None, None, "3")),
        (SLURM, ("analysis", "alice", "/home/alice/job", "4")),
        (OAR, (None, "alice", "/home/alice", "1")),
        (GRID_ENGINE, ("env.sh", "alice", "/home/alice", None)),
        (HTCONDOR, (None, "alice", "/home/alice", None)),
        (LSF, ("analysis", "alice", "/home/alice/job", None)),
        (FLUX, (None, None, None, None)),
    ],
)
def test_a_job_tells_about_itself(environment, facts):
    """Name, owner, submit directory, array index; "undefined" and LSF's 0 are none."""
    job, _ = read(environment)
    assert (job.job_name, job.owner, job.submit_directory, job.array_index) == facts


def test_what_was_taken_is_said_with_its_variables():
    """For dgrid doctor, and dgrid plan --json."""
    job, listed = read(SLURM)
    assert dict(listed.taken) == {"nodes": "$SLURM_JOB_NODELIST", "slots": "$SLURM_TASKS_PER_NODE"}
    assert dict(job.taken) == {
        "job": "$SLURM_JOB_ID",
        "name": "$SLURM_JOB_NAME",
        "owner": "$SLURM_JOB_USER",
        "submit directory": "$SLURM_SUBMIT_DIR",
        "array index": "$SLURM_ARRAY_TASK_ID",
    }
    assert ("job", "ClusterId.ProcId of the job ad") in read(HTCONDOR)[0].taken


@pytest.mark.parametrize(
    ("environment", "given"),
    [
        (SLURM, {"SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_JOB_USER", "SLURM_JOB_NUM_NODES", "SLURM_ARRAY_TASK_ID"}),
        (OAR, {"OAR_JOB_ID", "OAR_ARRAY_ID", "OAR_ARRAY_INDEX", "OAR_JOB_NAME", "OAR_USER", "OAR_PROJECT_NAME"}),
        (GRID_ENGINE, {"JOB_ID", "JOB_NAME", "PE", "NSLOTS", "NHOSTS", "QUEUE", "SGE_TASK_ID", "SGE_O_WORKDIR"}),
        (HTCONDOR, {"BATCH_SYSTEM", "_CONDOR_JOB_IWD", "_CONDOR_SLOT", "_CONDOR_NPROCS"}),
        (LSF, {"LSB_JOBID", "LSB_JOBINDEX", "LSB_JOBNAME", "LSB_DJOB_NUMPROC", "LS_SUBCWD"}),
        (FLUX, set()),
    ],
)
def test_containers_get_the_jobs_own_variables(environment, given):
    """Neither files of the host, nor keys, nor what makes an mpirun call the batch system."""
    job, _ = read(environment)
    names = {name for name, _ in job.variables}
    more = {"OAR_JOB_WALLTIME_SECONDS", "OAR_O_WORKDIR", "SLURM_SUBMIT_DIR"}
    # OAR's second names for the same.
    more |= {"OAR_JOBID", "OAR_ARRAYID", "OAR_ARRAYINDEX", "OAR_JOB_WALLTIME", "OAR_WORKDIR", "OAR_WORKING_DIRECTORY"}
    assert names - more == given


@pytest.mark.parametrize("row", SYSTEMS, ids=lambda row: row.name)
def test_no_system_gives_secrets_on(row):
    """Whatever they are called, even if a row names them."""
    environment = {row.signs[0]: "1", **{f"{prefix}X_TOKEN": "s3cret" for prefix in row.prefixes}, "_CONDOR_CREDS": "x"}
    job = detect_in(around(environment))
    assert job is not None
    assert not {"s3cret", "x"} & set(dict(job.variables).values())


@pytest.mark.parametrize(
    ("environment", "changes", "slots", "words"),
    [
        # Slurm counts the step's tasks.
        (
            SLURM_STEP,
            {},
            8,
            r"_NODE is 1, which is for 1 and not for the 2 nodes .* are those of .*_CPUS_PER_",
        ),
        (SLURM, {"SLURM_TASKS_PER_NODE": "1"}, 32, r"TASKS_PER_NODE is 1, .* 1 and not for the 4 .* \$SLURM_JOB_CPUS"),
        (SLURM, {"SLURM_TASKS_PER_NODE": "1", "SLURM_JOB_CPUS_PER_NODE": "2(x9)"}, 4, "one slot a node was taken"),
        (SLURM, {"SLURM_JOB_NUM_NODES": "9"}, 7, r"\$SLURM_JOB_NUM_NODES is 9, but \$SLURM_JOB_NODELIST makes it 4"),
        (
            SLURM_HETEROGENEOUS,
            {"SLURM_HET_SIZE": "3"},
            3,
            r"\$SLURM_HET_SIZE is 3, but \$SLURM_JOB_NODELIST_HET_GROUP_0, \$.*_GROUP_1 makes it 2, which was taken",
        ),
        (SLURM_STEP, {"SLURM_HET_SIZE": "2"}, 8, r"\$SLURM_HET_SIZE is 2, but \$SLURM_JOB_NODELIST makes it 1"),
        (TORQUE, {"PBS_NP": "6"}, 4, r"\$PBS_NP is 6, but the file of \$PBS_NODEFILE makes it 4, which was taken"),
        (GRID_ENGINE, {"NSLOTS": "5"}, 2, r"\$NSLOTS is 5, but the file of \$PE_HOSTFILE makes it 2"),
        (LSF, {"LSB_DJOB_NUMPROC": "7"}, 6, r"\$LSB_DJOB_NUMPROC is 7, but \$LSB_MCPU_HOSTS makes it 6"),
        (HTCONDOR, {"_CONDOR_NPROCS": "3"}, 2, r"\$_CONDOR_NPROCS is 3, but AllRemoteHosts of the job ad makes it 2"),
        (FLUX, {"FLUX_JOB_NNODES": "3"}, 8, r"\$FLUX_JOB_NNODES is 3, but `flux hostlist local` makes it 2"),
    ],
)
def test_variables_that_contradict(environment, changes, slots, words):
    """Both values, and which was taken."""
    _, listed = read(environment, changes)
    assert listed.slots == slots
    assert [text for text in listed.contradictions if re.search(words, text)]


@pytest.mark.parametrize(
    ("environment", "changes", "nodes"),
    [
        (SLURM, {"SLURM_TASKS_PER_NODE": None}, 32),
        (SLURM, {"SLURM_TASKS_PER_NODE": None, "SLURM_JOB_CPUS_PER_NODE": None}, 4),
        (SLURM, {"SLURM_JOB_NODELIST": None}, 7),
        (OAR, {"OAR_NODEFILE": None}, 4),
        (GRID_ENGINE, {"PE_HOSTFILE": None}, 2),
        (GRID_ENGINE, {"PE_HOSTFILE": None, "NSLOTS": None}, 1),
        (LSF, {"LSB_MCPU_HOSTS": None}, 6),
        (LSF, {"LSB_MCPU_HOSTS": None, "LSB_DJOB_HOSTFILE": None}, 6),
        (FLUX, {"FLUX_JOB_SIZE": "2"}, 2),
        (FLUX, {"FLUX_JOB_SIZE": "3"}, 2),
    ],
)
def test_slots_without_one_of_the_variables(environment, changes, nodes):
    """Older versions and smaller jobs do not set all of them."""
    assert read(environment, changes)[1].slots == nodes


def test_jobs_of_one_machine():
    """Grid Engine without a parallel environment; HTCondor's vanilla universe with two CPUs."""
    assert read(GRID_ENGINE, {"PE_HOSTFILE": None, "NSLOTS": "3"})[1].nodes == (("n1", 3),)
    vanilla = {HTCONDOR["_CONDOR_JOB_AD"]: "ClusterId = 6\nProcId = 1\nRequestCpus = 2\n"}
    job, listed = read(HTCONDOR, {"_CONDOR_PROCNO": None, "_CONDOR_NPROCS": None}, vanilla)
    assert (job.job_id, listed.nodes) == ("6.1", (("n1", 2),))


@pytest.mark.parametrize(
    ("environment", "changes", "words"),
    [
        (
            SLURM,
            {"SLURM_JOB_NODELIST": "n[1-"},
            r"\$SLURM_JOB_NODELIST is 'n\[1-', which is not .*--hostfile",
        ),
        (SLURM, {"SLURM_JOB_NODELIST": "n[1-x]"}, r"\$SLURM_JOB_NODELIST is 'n\[1-x\]', which is not understood"),
        (SLURM, {"SLURM_JOB_NODELIST": "n1;id"}, r"\$SLURM_JOB_NODELIST is 'n1;id', .* contains"),
        (SLURM, {"SLURM_JOB_NODELIST": " "}, r"\$SLURM_JOB_NODELIST is ' ', .* names no node"),
        (SLURM, {"SLURM_TASKS_PER_NODE": "2(x"}, r"\$SLURM_TASKS_PER_NODE is '2\(x', .*counts are written as in"),
        (LSF, {"LSB_MCPU_HOSTS": "hostA"}, r"\$LSB_MCPU_HOSTS is 'hostA', .* \"host1 2 host2 4\""),
        (LSF, {"LSB_MCPU_HOSTS": "hostA x"}, r"\$LSB_MCPU_HOSTS is 'hostA x'"),
        (GRID_ENGINE, {"PE_HOSTFILE": None, "NSLOTS": "many"}, r"\$NSLOTS is 'many'"),
        (GRID_ENGINE, {"PE_HOSTFILE": "/tmp/nodes.7"}, r"/tmp/nodes.7 of \$PE_HOSTFILE is 'n1', .* host slots queue"),
        (HTCONDOR, {"_CONDOR_JOB_AD": "/tmp/nodes.7"}, r"\$_CONDOR_JOB_AD is '/tmp/nodes.7', .* 6 bytes without"),
    ],
)
def test_what_does_not_parse(environment, changes, words):
    """Which variable, its value, and what to do: wrong usage, exit code 2."""
    with pytest.raises(UsageError, match=words) as caught:
        read(environment, changes)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        (OPENPBS, "PBS_NODEFILE"),
        (OAR, "OAR_NODEFILE"),
        (GRID_ENGINE, "PE_HOSTFILE"),
        (HTCONDOR, "_CONDOR_JOB_AD"),
        ({**LSF, "LSB_MCPU_HOSTS": ""}, "LSB_DJOB_HOSTFILE"),
    ],
)
def test_a_file_that_has_gone(environment, variable):
    """The variable, the path and the reason."""
    with pytest.raises(UsageError) as caught:
        read(environment, files={})
    said = str(caught.value)
    assert said.startswith(f"${variable}: {environment[variable]}: cannot read")
    assert "No such file" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("node1\nb;d\n", r"\$OAR_NODEFILE: /var/lib/oar/1:2:2: "),
        ("", r"\$OAR_NODEFILE: /var/lib/oar/1: the file names no node"),
    ],
)
def test_a_node_file_that_makes_no_sense(text, words):
    """Its own error, with variable, path and line."""
    with pytest.raises(NodeFileError, match=words):
        read(OAR, files={"/var/lib/oar/1": text})


def test_an_empty_host_file_of_grid_engines():
    """Its variable is named as well."""
    with pytest.raises(UsageError, match=r"pe_hostfile of \$PE_HOSTFILE is '', .* names no node"):
        read(GRID_ENGINE, files={GRID_ENGINE["PE_HOSTFILE"]: "\n"})


def test_the_line_for_htcondors_scripts_waits_on_the_other_nodes_alone():
    """In a vanilla job, where the variable is not set, it goes on."""
    job = detect_in(around(HTCONDOR, {"_CONDOR_PROCNO": "1"}))
    assert job is not None
    line = re.search(r"\[ .* exec sleep infinity", other_rank(job) or "")
    assert line is not None
    script = line[0].replace("sleep infinity", "echo waits") + "; echo goes on"
    said = [
        subprocess.run(["/bin/sh", "-c", script], env=set_there, capture_output=True, text=True, check=False).stdout
        for set_there in ({}, {"_CONDOR_PROCNO": "0"}, {"_CONDOR_PROCNO": "1"})
    ]
    assert said == ["goes on\n", "goes on\n", "waits\n"]


@pytest.mark.parametrize(
    ("environment", "variable"), [({"PBS_JOBID": "1"}, "PBS_NODEFILE"), ({"SLURM_JOB_ID": "1"}, "SLURM_JOB_NODELIST")]
)
def test_a_job_that_tells_no_nodes(environment, variable):
    """What is missing, and both ways out."""
    seen = around(environment)
    job = detect_in(seen)
    assert job is not None
    assert not tells_nodes(job)
    with pytest.raises(UsageError, match=rf"\${variable} is not set, .* --hostfile, .* --local 1"):
        nodes_of(job, seen)


def test_flux_without_its_command():
    """The nodes are the instance's to tell."""
    seen = around(FLUX)
    job = detect_in(seen)
    assert job is not None
    with pytest.raises(UsageError, match="is `flux` in the PATH"):
        nodes_of(job, type(seen)(seen.environment))


@pytest.mark.parametrize(
    ("environment", "changes", "words"),
    [
        (HTCONDOR, {"_CONDOR_PROCNO": "1"}, r'process 1 .* begin .* \[ "\$\{_CONDOR_PROCNO:-0\}" = 0 \] \|\| exec'),
        (FLUX, {"FLUX_TASK_RANK": "3"}, "process 3 .*flux batch"),
        (SLURM, {"SLURM_PROCID": "2"}, "process 2 .* without srun"),
        (SLURM_WITH_TORQUE_COMMANDS, {"SLURM_PROCID": "1"}, "process 1 of those that Slurm .* without srun"),
    ],
)
def test_one_process_of_many_does_not_run_dgrid(environment, changes, words):
    """It says what to write instead; process 0 does."""
    job = detect_in(around(environment, changes))
    assert job is not None
    assert re.search(words, other_rank(job) or "")
    first, _ = read(environment)
    assert other_rank(first) is None


@pytest.mark.parametrize(
    ("environments", "system", "ended_by", "others"),
    [
        ((SLURM_WITH_TORQUE_COMMANDS,), "PBS", "Slurm", ("Slurm",)),
        ((TORQUE, {"SLURM_JOB_ID": "0"}), "Torque", "Slurm", ("PBS", "Slurm")),
        # Without a node file Slurm's own variables tell the nodes.
        (({"PBS_JOBID": "17"}, SLURM), "Slurm", "Slurm", ("PBS",)),
        ((TORQUE,), "Torque", "Torque", ()),
        ((SLURM, HTCONDOR), "HTCondor", "HTCondor", ("Slurm",)),
        ((LSF, FLUX), "Flux", "Flux", ("LSF",)),
        ((SLURM, OAR), "OAR", "OAR", ("Slurm",)),
    ],
)
def test_of_two_systems_the_inner_one_is_taken(environments, system, ended_by, others):
    """And the other one is known."""
    job = detect_in(around({name: value for one in environments for name, value in one.items()}))
    assert job is not None
    assert (job.system, job.ended_by) == (system, ended_by)
    assert set(job.others) >= set(others) - {"PBS"} and job.system not in job.others
    assert job.contradictions == ()


@pytest.mark.parametrize(
    ("environments", "system", "words"),
    [
        ((OPENPBS, SLURM), "PBS", "$SLURM_JOB_ID is 17, but $PBS_JOBID is 38[2].head, which was taken"),
        ((TORQUE, SLURM), "Torque", "$SLURM_JOB_ID is 17, but $PBS_JOBID is 0.head, which was taken"),
        # Without a node file it is no job of PBS's.
        (({"PBS_JOBID": "1.head"}, SLURM), "Slurm", "$PBS_JOBID is 1.head, but $SLURM_JOB_ID is 17, which was taken"),
    ],
)
def test_variables_of_another_job_are_left_alone(environments, system, words):
    """`qsub -V` in a shell of salloc: nothing is asked about that one's job, and which was taken is said."""
    asked = []
    seen = around({name: value for one in environments for name, value in one.items()})
    job = detect_in(replace(seen, ask=asked.append))
    assert job is not None
    assert (job.system, job.ended_by, job.contradictions) == (system, system, (words,))
    assert job.reach == (SLURM_ROW.reach if system == "Slurm" else ("ssh",))
    shares_of(job, replace(seen, ask=asked.append))
    assert [command for command in asked if (command[0] == "scontrol") != (system == "Slurm")] == []


def test_a_foreign_step_of_slurms_is_no_process_of_pbs():
    """`qsub -V` in a step takes its number along, too."""
    job = detect_in(around({**OPENPBS, "SLURM_JOB_ID": "7", "SLURM_PROCID": "3"}))
    assert job is not None
    assert other_rank(job) is None


def test_the_files_are_those_that_the_environments_name():
    """The test data fits together."""
    named = {value for one in (OPENPBS, TORQUE, OAR, GRID_ENGINE, HTCONDOR, LSF) for value in one.values()}
    assert {path for path in FILES if path != "/tmp/nodes.7"} <= named
