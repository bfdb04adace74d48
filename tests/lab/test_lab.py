"""The cluster of containers, started for real: its batch system, its users, its engines, its end."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cluster import DGRID, LABEL, Cluster, dgrid, machine_engine

import dgrid as package

pytestmark = pytest.mark.lab

FOUR_NODES = """#!/bin/bash
#PBS -N four
#PBS -l nodes=4
#PBS -l walltime=00:10:00
#PBS -j oe
hostname
cat $PBS_NODEFILE
echo "$PBS_JOBID $PBS_O_WORKDIR $PBS_NUM_NODES $PBS_WALLTIME $PWD"
echo to stderr >&2
exit 7
"""


@contextmanager
def another_lab(*options: str) -> Iterator[Cluster]:
    """A lab for one test alone."""
    name = f"o{os.getpid()}"
    started = dgrid("lab", "up", "--name", name, *options)
    assert started.returncode == 0, started.stderr
    try:
        yield Cluster(name, ("node1", "node2"))
    finally:
        removed = dgrid("lab", "down", "--name", name)
        assert removed.returncode == 0, removed.stderr


def objects_of(name: str) -> set[str]:
    """What this machine's engine has of a lab: what bears its label or its name, and the volumes its hosts use."""
    client = machine_engine().api
    containers = client.containers(all=True)
    used = {mount["Name"] for one in containers if _is_of(one, name) for mount in one["Mounts"] if "Name" in mount}
    volumes = client.volumes()["Volumes"] or []
    return {
        *(f"container {one['Names'][0]}" for one in containers if _is_of(one, name)),
        *(f"network {one['Name']}" for one in client.networks() if _is_of(one, name)),
        *(f"volume {one['Name']}" for one in volumes if _is_of(one, name) or one["Name"] in used),
    }


def _is_of(item: dict[str, Any], name: str) -> bool:
    names = item.get("Names") or [item["Name"]]
    return (item["Labels"] or {}).get(LABEL) == name or any(f"dgrid-lab-{name}-" in each for each in names)


def test_every_host_is_seen_to_work(lab: Cluster):
    """Status shows all hosts, the nodes with an engine and idle in the batch system."""
    rows = json.loads(dgrid("lab", "status", "--name", lab.name, "--json").stdout)
    assert [row["host"] for row in rows] == ["front", *lab.nodes]
    assert {row["state"] for row in rows} == {"running"}
    assert {row["engine"].split()[0] for row in rows[1:]} == {"docker"}
    assert {row["batch"] for row in rows[1:]} == {"idle"}


def test_a_job_of_four_nodes(lab: Cluster):
    """#PBS lines count: four nodes, the script on the first of them, its output joined, its exit code kept."""
    job = lab.qsub(FOUR_NODES)
    end = lab.wait_job(job)
    where = lab.submitted_from(job)
    first, *nodes, facts, error = lab.text(["cat", f"{where}/four.o{job}"]).splitlines()
    assert sorted(nodes) == list(lab.nodes)
    assert nodes[0] == first
    assert facts == f"{job} {where} 4 600 {where}"
    assert error == "to stderr"
    assert (end.state, end.exit_code) == ("FAILED", 7)


def test_slots_of_a_node_are_lines_of_the_node_file(lab: Cluster):
    """nodes=2:ppn=2 gives each of two nodes twice."""
    job = lab.qsub('#PBS -l nodes=2:ppn=2\n#PBS -o out\ncat "$PBS_NODEFILE"\n')
    assert lab.wait_job(job).state == "COMPLETED"
    lines = lab.text(["cat", f"{lab.submitted_from(job)}/out"]).splitlines()
    assert lines == [lines[0]] * 2 + [lines[2]] * 2
    assert lines[0] != lines[2]


def test_the_command_line_wins_over_the_script(lab: Cluster):
    """qsub -l nodes=1 takes one node though the script asks for four; -v gives the job a variable."""
    job = lab.qsub(
        '#PBS -l nodes=4\nwc -l < $PBS_NODEFILE\necho "$GIVEN"\n', "-l", "nodes=1", "-v", "GIVEN=yes", "-N", "x"
    )
    lab.wait_job(job)
    assert lab.text(["cat", f"{lab.submitted_from(job)}/x.o{job}"]).split() == ["1", "yes"]


def test_the_jobs_environment_is_that_of_a_login(lab: Cluster):
    """What was set where qsub ran does not reach the job, but with -V."""
    script, read = "echo ${SECRET-none}\n", "cd jobs/env && cat job.o"
    lab.write("jobs/env/job.sh", script)
    for option, seen in (("", "none"), ("-V", "mine")):
        job = lab.text(f"cd jobs/env && SECRET=mine qsub {option} -j oe -o job.o job.sh")
        lab.wait_job(job)
        assert lab.text(read) == seen


def test_qdel_gives_the_script_time_to_end(lab: Cluster):
    """TERM comes at once, to the script and its children; when the script has ended, its deaf child is killed."""
    deaf = "trap '' TERM; while :; do touch deaf; sleep 0.1; done"
    # The script waits for the child that hears: with its own end all that is left is killed.
    hears = "trap 'echo term $0; wait $child; exit 3' TERM; touch hears-$(basename $0); while :; do sleep 0.1; done"
    children = f"bash -c {shlex.quote(deaf)} &\nbash -c {shlex.quote(hears)} child & child=$!"
    job = lab.qsub(f"#PBS -j oe\n#PBS -o out\n{children}\n{hears}\n")
    began = _qdel_once_there(lab, job, "deaf", "hears-child", "hears-[!c]*")
    assert lab.wait_job(job).state == "CANCELLED"
    assert time.monotonic() - began < 9
    heard = lab.text(f"grep ^term {lab.submitted_from(job)}/out").splitlines()
    assert len(heard) == 2
    assert "term child" in heard
    assert lab.run(["pgrep", "-f", "touch deaf"], host="node1").returncode == 1


def test_qdel_kills_a_script_that_stays(lab: Cluster):
    """KILL comes 10 s after TERM, as with OpenPBS."""
    job = lab.qsub("trap 'touch heard' TERM; while :; do touch there; sleep 0.1; done\n")
    began = _qdel_once_there(lab, job, "there")
    assert lab.wait_job(job).state == "CANCELLED"
    assert time.monotonic() - began > 9
    lab.text(["test", "-e", f"{lab.submitted_from(job)}/heard"])
    assert lab.run(["pgrep", "-f", "touch there"], host="node1").returncode == 1


def _qdel_once_there(lab: Cluster, job: str, *files: str) -> float:
    """Deletes the job when it has made those files; when that was."""
    where = lab.submitted_from(job)
    lab.text(f"cd {where} && until ls {' '.join(files)} >/dev/null 2>&1; do sleep 0.1; done")
    began = time.monotonic()
    lab.text(["qdel", job])
    return began


def test_an_interactive_job(lab: Cluster):
    """qsub -I is a shell on the job's first node, with the job's variables."""
    typed = "echo $(hostname) $PBS_ENVIRONMENT $(wc -l < $PBS_NODEFILE)"
    script = f"(sleep 2; echo '{typed}'; echo exit) | TERM=dumb ssh -tt front qsub -I -l nodes=2"
    assert "node1 PBS_INTERACTIVE 2" in lab.text(script).replace("\r", "").splitlines()


def test_a_job_knows_its_walltime(lab: Cluster):
    """-l walltime is what Slurm counts by, and the job is told in seconds."""
    job = lab.qsub("#PBS -l walltime=0:02:00\necho $PBS_WALLTIME\n", "-j", "oe", "-o", "out")
    lab.wait_job(job)
    assert lab.text(["cat", f"{lab.submitted_from(job)}/out"]) == "120"


@pytest.mark.parametrize("user", [None, "bob"])
def test_ssh_asks_nothing(lab: Cluster, user: str | None):
    """From any host to any host, as each user, with host keys known and different."""
    hosts = "front " + " ".join(lab.nodes)
    inner = f"for b in {hosts}; do ssh -o BatchMode=yes $b hostname; done"
    script = f"for a in {hosts}; do ssh -o BatchMode=yes $a '{inner}'; done"
    done = lab.run(script, user=user, check=True)
    assert done.stdout.decode().split() == hosts.split() * len(hosts.split())
    assert b"Warning" not in done.stderr
    keys = lab.text("grep -v '^#' ~/.ssh/known_hosts | cut -d' ' -f3", user=user).split()
    assert len(set(keys)) == len(hosts.split())


def test_users_do_not_read_each_others_keys(lab: Cluster):
    """bob has no way to alice's private key."""
    own = lab.text("echo ~/.ssh/id_ed25519")
    assert lab.run(["cat", own], user="bob").returncode != 0


def test_passwords_are_not_accepted(lab: Cluster):
    """sshd offers keys and nothing else."""
    done = lab.run("ssh -o PubkeyAuthentication=no -o BatchMode=yes node1 true")
    assert b"Permission denied (publickey)" in done.stderr


def test_images_keep_their_id(lab_with_image: Cluster, test_image: str):
    """An image loaded into the lab is the same on all nodes as on this machine."""
    here = machine_engine().images.get(test_image).id
    assert {lab_with_image.engine(node).image_id(test_image) for node in lab_with_image.nodes} == {here}


def test_an_image_this_machine_does_not_have(lab: Cluster):
    """The message names the image."""
    done = dgrid("lab", "load", "--name", lab.name, "no-such-image:1")
    assert done.returncode == 125
    assert "has no image no-such-image:1" in done.stderr


def test_docker_works_on_each_node(lab_with_image: Cluster, test_image: str):
    """The ordinary user runs containers on each node's own dockerd; none sees another node's."""
    for node in lab_with_image.nodes:
        lab_with_image.text(["ssh", node, f"docker run -d --name only-{node} --label mine=1 {test_image} sleep 600"])
    seen = {node: lab_with_image.engine(node).containers("mine=1") for node in lab_with_image.nodes}
    lab_with_image.text("for n in " + " ".join(lab_with_image.nodes) + "; do ssh $n docker rm -f only-$n; done")
    assert seen == {node: [f"only-{node}"] for node in lab_with_image.nodes}
    assert lab_with_image.engine("node1").containers("mine=1") == []


def test_rootless_podman_works_over_ssh(lab_with_image: Cluster, test_image: str):
    """The ordinary user runs a container without any daemon, as himself, with a network."""
    lab_with_image.text(["ssh", "node2", f"docker save {test_image} | podman load -q"])
    own = lab_with_image.text(["id", "-u"])
    run = f"podman run --rm --userns keep-id --init {test_image} sh -c 'id -u; ls /sys/class/net'"
    done = lab_with_image.run(["ssh", "node2", run], check=True)
    uid, *networks = done.stdout.decode().split()
    assert uid == own
    assert set(networks) > {"lo"}
    assert done.stderr == b""


def test_dgrid_is_there_for_all(lab: Cluster):
    """The same dgrid as here, on every host, for every user."""
    version = f"dgrid, version {package.__version__}"
    for host in ("front", "node1", "node4"):
        assert lab.text(["dgrid", "--version"], host=host, user="bob") == version


def test_bytes_pass_unchanged(lab: Cluster):
    """stdin, stdout and stderr of `lab run` are the command's own, byte for byte, to their ends."""
    content = random.Random(1).randbytes(20_000_000)
    done = lab.run(["cat"], input=content)
    assert hashlib.sha256(done.stdout).hexdigest() == hashlib.sha256(content).hexdigest()
    both = lab.run("echo out; echo err >&2; exit 3")
    assert (both.returncode, both.stdout, both.stderr) == (3, b"out\n", b"err\n")


def test_a_command_that_does_not_exist(lab: Cluster):
    """127, as in a shell, and nothing on stdout."""
    done = lab.run(["no-such-command"])
    assert (done.returncode, done.stdout) == (127, b"")


def test_signals_reach_the_command(lab: Cluster):
    """INT to `lab run` is INT to the command, whose exit code it ends with."""
    script = "trap 'echo int; exit 5' INT; echo started; while :; do sleep 0.1; done"
    command = [*DGRID, "lab", "run", "--name", lab.name, "--", "bash", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as running:
        assert running.stdout
        assert running.stdout.readline() == b"started\n"
        running.send_signal(signal.SIGINT)
        assert running.stdout.read() == b"int\n"
    assert running.returncode == 5


def test_who_and_where_must_exist(lab: Cluster):
    """Unknown users, hosts and labs are refused with those there are."""
    assert b"it has front, node1, node2, node3, node4" in lab.run(["true"], host="node9").stderr
    assert b"has no user 'mallory'; it has " in lab.run(["true"], user="mallory").stderr
    done = dgrid("lab", "run", "--name", "nowhere", "--", "true")
    assert done.returncode == 125
    assert "there is no lab nowhere; there are: " in done.stderr
    assert lab.name in done.stderr


def test_a_name_is_given_once(lab: Cluster):
    """A second lab of the same name is refused, and the first goes on."""
    done = dgrid("lab", "up", "--name", lab.name)
    assert done.returncode == 125
    assert f"there is a lab {lab.name} already" in done.stderr
    assert lab.text(["hostname"]) == "front"


def test_down_leaves_nothing():
    """No container, network or volume stays, though containers ran inside; a second down says there is no lab."""
    name = f"o{os.getpid()}"
    with another_lab("--nodes", "1", "--batch", "none") as lab:
        assert lab.text(["ssh", "node1", "docker network create inner > /dev/null; docker volume create own"]) == "own"
        made = objects_of(name)
        assert len([each for each in made if each.startswith("volume ")]) == 5
        assert len(made) == 8
        groups = _cgroups(name)
    assert objects_of(name) == set()
    assert not made & {f"volume {one.name}" for one in machine_engine().volumes.list()}
    assert not [group for group in groups if Path(group).exists()]
    again = dgrid("lab", "down", "--name", name)
    assert again.returncode == 125
    assert f"there is no lab {name}" in again.stderr


def _cgroups(name: str) -> list[str]:
    hosts = machine_engine().containers.list(filters={"label": f"{LABEL}={name}"})
    kinds = ("pids/", "memory/", "unified/", "")
    return [f"/sys/fs/cgroup/{kind}docker/{host.id}" for kind in kinds for host in hosts]


def test_a_lab_that_does_not_start_leaves_nothing():
    """Hosts that are not ready in time are named with their log, and everything is removed."""
    name = f"o{os.getpid()}"
    done = dgrid("lab", "up", "--name", name, "--nodes", "2", "--timeout", "0")
    assert done.returncode == 125
    assert f"lab {name} did not start within 0 s" in done.stderr
    assert "node2: " in done.stderr
    assert "its log ends with:" in done.stderr
    assert objects_of(name) == set()


def test_an_interrupted_start_leaves_nothing():
    """Ctrl-C while the hosts are awaited ends with 130 and removes them."""
    name = f"o{os.getpid()}"
    command = [*DGRID, "lab", "up", "--name", name, "--nodes", "2"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as starting:
        assert starting.stderr
        while "waiting" not in starting.stderr.readline():
            pass
        starting.send_signal(signal.SIGINT)
        said = starting.stderr.read()
    assert starting.returncode == 130, said
    assert objects_of(name) == set()


def test_containers_reach_each_other_over_a_swarm(test_image: str):
    """With --swarm an overlay network spans the nodes, names and all."""
    server = "$s = IO::Socket::INET->new(LocalPort => 7000, Listen => 5); while ($c = $s->accept) { print $c 'node1' }"
    with another_lab("--nodes", "2", "--batch", "none", "--swarm") as lab:
        lab.load(test_image)
        lab.text("docker network create --driver overlay --attachable over", host="node1")
        run = ["docker", "run", "--network", "over"]
        lab.text([*run, "-d", "--name", "server", test_image, "perl", "-MIO::Socket::INET", "-e", server], host="node1")
        ask = "for i in $(seq 50); do head -c 5 < /dev/tcp/server/7000 && break; sleep 0.2; done 2> /dev/null"
        assert lab.text([*run, "--rm", test_image, "bash", "-c", ask], host="node2") == "node1"


def test_a_lab_without_docker(test_image: str):
    """--engine podman: no dockerd on the nodes, and images go to the user's own storage."""
    with another_lab("--nodes", "1", "--engine", "podman") as lab:
        lab.load(test_image)
        assert lab.text(["ssh", "node1", f"podman run --rm {test_image} echo hello"]) == "hello"
        assert lab.run(["ls", "/run/docker.sock"], host="node1").returncode != 0
        rows = json.loads(dgrid("lab", "status", "--name", lab.name, "--json").stdout)
        assert rows[1]["engine"].startswith("podman ")
