"""``dgrid plan``: what is printed, and that nothing is touched."""

import json
import socket
import subprocess
import sys
import textwrap

import pytest

from dgrid.batch.slurm import SLURM

ME = socket.gethostname()
DEFINITION = {
    "containers": [
        {
            "name": "head",
            "image": "pyssh",
            "interactive": True,
            "run_cmd": ["python", "job.py"],
            "environment_variables": ["DBPASS=s3cret"],
            "volumes": ["/data:/data:ro"],
            "links": ["db:DB_HOST"],
        },
        {"name": "worker", "image": "pyssh", "scale": 2, "host_to_list": ["tag=workers"]},
        {"name": "db", "image": "mongodb", "host_to_list": ["tag=database"], "checkpointing": True},
    ]
}


@pytest.fixture
def job(tmp_path):
    (tmp_path / "nodes").write_text(f"{ME}\nfar1\nfar2\nfar2\n")
    (tmp_path / "job.json").write_text(json.dumps(DEFINITION))
    return tmp_path


def dgrid(*arguments, cwd, environment=None):
    """A process of its own, as a user has it, in an environment without any job."""
    return subprocess.run(
        [sys.executable, "-m", "dgrid", *arguments],
        cwd=cwd, env={"PATH": "/usr/bin:/bin", **(environment or {})}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def plan(job, *arguments, **keys):
    return dgrid("plan", "--hostfile=nodes", "--dockdef=job.json", *arguments, cwd=job, **keys)


def test_the_table_shows_what_goes_where(job):
    """Node, container, image, network, mounts; the hostfile; the order of starting; warnings."""
    shown = plan(job)
    assert shown.returncode == 0
    width = max(len(ME), 4)
    assert shown.stdout == textwrap.dedent(f"""\
        4 containers on 3 of 3 nodes (node file nodes); network: host, the nodes' own network

        {"NODE".ljust(width)}  CONTAINER  IMAGE    NETWORK  MOUNTS
        {ME.ljust(width)}  head       pyssh    host     /data:/data:ro
        {"far1".ljust(width)}  worker-2   pyssh    host     -
        {"far2".ljust(width)}  worker-1   pyssh    host     -
        {"far2".ljust(width)}  db         mongodb  host     -

        hostfile /dgrid/hostfile.json:
          {{"workers": ["far2", "far1"], "database": ["far2"]}}

        start order: worker, db, then head
        warning: container "db": "checkpointing" does nothing yet
        """)


def test_the_data_has_the_requests_themselves(job):
    """The body for each engine, the files, the networks; a job's variables; session ids are a run's own."""
    shown = json.loads(plan(job, "--json", environment={"PBS_JOBID": "7.s"}).stdout)
    assert (shown["session"], shown["job"], shown["network"]) == ("SESSION", "7.s", "host")
    head = shown["instances"][0]
    assert (head["node"], head["create"], head["body"]["Cmd"]) == (ME, "head-SESSION", ["python", "job.py"])
    assert "DB_HOST=far2" in head["body"]["Env"]
    assert "PBS_JOBID=7.s" in head["body"]["Env"]
    assert "worker-1:{far2}" in head["body"]["HostConfig"]["ExtraHosts"]
    files = {file["path"]: file["text"] for file in head["files"]}
    assert "/dgrid/hostfile.json" in files
    assert files["/dgrid/ssh/id_ed25519"] == "***"


def test_values_of_the_definition_are_shown_only_when_asked_for(job):
    """They may be secrets."""
    assert "s3cret" not in plan(job).stdout
    hidden = plan(job, "--json").stdout
    assert "s3cret" not in hidden
    assert "DBPASS=***" in hidden
    assert "DBPASS=s3cret" in plan(job, "--json", "--show-values").stdout


def test_a_swarm_may_be_assumed(job):
    """The plan then has an overlay network, made by this machine."""
    shown = json.loads(plan(job, "--json", "--swarm").stdout)
    assert shown["network"] == "overlay"
    assert [(network["node"], network["body"]["Name"]) for network in shown["networks"]] == [(ME, "dgrid-SESSION")]


def test_outside_a_job_it_is_this_machine(job):
    """A bridge, and no limit of slots."""
    shown = dgrid("plan", "--dockdef=job.json", cwd=job)
    assert "4 containers on 1 of 1 node (this machine); network: bridge" in shown.stdout
    assert "local2" in dgrid("plan", "--local=2", "--dockdef=job.json", cwd=job).stdout


def test_too_many_containers_end_with_the_code_of_wrong_usage(job):
    """Both numbers on stderr, nothing on stdout; --oversubscribe is the way out."""
    (job / "nodes").write_text(f"{ME}\nfar1\n")
    shown = plan(job)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("dgrid: the definition makes 4 instances, but node file nodes has 2 slots on ")
    assert "--oversubscribe" in shown.stderr
    assert plan(job, "--oversubscribe").returncode == 0


def test_bad_input_ends_with_the_code_of_wrong_usage(job):
    """A node file's line; no traceback."""
    (job / "nodes").write_text("b;d\n")
    shown = plan(job)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == 'nodes:1:2: "b;d" contains ";", which no host name has\n'


def test_what_the_batch_system_told_is_shown(job):
    """With the variables it was taken from; variables that contradict are warnings."""
    environment = {"SLURM_JOB_ID": "9", "SLURM_JOB_NODELIST": f"{ME},far[1-3]", "SLURM_TASKS_PER_NODE": "2(x3)"}
    shown = json.loads(dgrid("plan", "--dockdef=job.json", "--json", cwd=job, environment=environment).stdout)
    batch = shown["batch"]
    assert (batch["system"], batch["ended_by"], batch["leaves_s"]) == ("Slurm", "Slurm", 30.0)
    assert (batch["reach"], batch["remarks"]) == (list(SLURM.reach), [])
    assert batch["taken"] == {"nodes": "$SLURM_JOB_NODELIST", "slots": "none: one a node", "job": "$SLURM_JOB_ID"}
    assert shown["warnings"][0] == batch["contradictions"][0]
    assert "is 2(x3), which is for 3 and not for the 4 nodes of $SLURM_JOB_NODELIST" in batch["contradictions"][0]
    assert json.loads(dgrid("plan", "--dockdef=job.json", "--json", cwd=job).stdout)["batch"] is None


def test_what_the_job_has_of_its_nodes_is_shown(job):
    """A made-up scontrol tells: as data, as the very request, and as the place of what is too much."""
    (job / "scontrol").write_text(
        f"#!/bin/sh\necho '     Nodes={ME} CPU_IDs=0-1 Mem=512 GRES=gpu:2(IDX:1,3)'\n"
        "echo '     Nodes=far1 CPU_IDs=0 Mem=512 GRES='\n"
    )
    (job / "scontrol").chmod(0o755)
    definition = {"containers": [{**DEFINITION["containers"][0], "links": [], "resources": {"gpus": 2}}]}
    (job / "gpus.json").write_text(json.dumps(definition))
    environment = {"SLURM_JOB_ID": "9", "SLURM_JOB_NODELIST": f"{ME},far1", "PATH": f"{job}:/usr/bin:/bin"}
    shown = json.loads(dgrid("plan", "--dockdef=gpus.json", "--json", cwd=job, environment=environment).stdout)
    assert [node["job"] for node in shown["nodes"]] == [
        {"gpus": ["1", "3"], "cpus": None, "cpu_count": 2, "memory_bytes": 512 * 1024**2},
        {"gpus": [], "cpus": None, "cpu_count": 1, "memory_bytes": 512 * 1024**2},
    ]
    (head,) = shown["instances"]
    assert head["body"]["HostConfig"]["DeviceRequests"] == [{"DeviceIDs": ["1", "3"], "Capabilities": [["gpu"]]}]
    assert shown["batch"]["taken"]["CPUs, memory and GPUs of each node"] == "`scontrol show job --details`"

    (job / "gpus.json").write_text(json.dumps(definition).replace('"gpus": 2', '"gpus": 3'))
    refused = dgrid("plan", "--dockdef=gpus.json", cwd=job, environment=environment)
    assert refused.returncode == 2
    assert (
        f"containers[0].resources.gpus: the instances on {ME} ask for 3 GPUs, but the job has 2 there" in refused.stderr
    )
    assert refused.stderr.startswith("dgrid: gpus.json:1:")

    (job / "settings" / "dgrid").mkdir(parents=True)
    (job / "settings" / "dgrid" / "config.toml").write_text('[nodes]\njob_limits = "none"\n')
    free = {**environment, "XDG_CONFIG_HOME": f"{job}/settings"}
    shown = json.loads(dgrid("plan", "--dockdef=gpus.json", "--json", cwd=job, environment=free).stdout)
    assert shown["nodes"][0]["job"] is None
    assert shown["instances"][0]["body"]["HostConfig"]["DeviceRequests"][0]["Count"] == 3


def test_a_reader_that_goes(job):
    """`dgrid plan --json | head -c 9` ends quietly, as by SIGPIPE; what it writes is not made beforehand."""
    many = {"containers": [*DEFINITION["containers"], {"name": "many", "image": "x", "scale": 2000}]}
    (job / "job.json").write_text(json.dumps(many))
    command = [sys.executable, "-m", "dgrid", "plan", "--json", "--oversubscribe", "--hostfile=nodes"]
    process = subprocess.Popen(
        [*command, "--dockdef=job.json"], cwd=job, env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.read(9) == b'{\n  "sess'
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    assert process.wait(60) == 128 + 13


@pytest.mark.parametrize("command", [("image", "build", ""), ("image", "init", ""), ("image", "spread", "")])
def test_an_empty_argument(command, tmp_path):
    """An empty variable in a script is not taken for the present directory."""
    done = dgrid(*command, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "dgrid: an empty argument; is a variable on the command line not set?\n"
    assert list(tmp_path.iterdir()) == []
