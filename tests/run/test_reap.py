"""`dgrid reap` and the scripts for batch systems on real nodes: what an ended job left goes, and nothing else."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster
from jobs import IMAGE, Jobs, head, worker

import dgrid.sites

pytestmark = pytest.mark.lab

SITES = Path(dgrid.sites.__file__).parent
ON_NODES = "/opt/dgrid/lib/dgrid/sites"
LAUNCHER = "^/usr/bin/python3 -I /usr/local/bin/dgrid .*--dockdef"
LEASH = "^sh -c .* dgrid-leash "
JOB = """#!/bin/bash
#PBS -l nodes=2
#PBS -l walltime=00:05:00
exec dgrid --hostfile=$PBS_NODEFILE --dockdef={definition}
"""
# All at once, as a batch system does it to a job's cgroup: stopped first, dgrid can start no new leash. On a busy
# machine they take their time to die.
KILL_ALL = f"""
launcher=$(pgrep -f '{LAUNCHER}')
kill -STOP $launcher
for node in {{other}}; do ssh $node "pkill -KILL -f '{LEASH}{{session}}'"; done
pkill -KILL -f '{LEASH}{{session}}'
kill -KILL $launcher
for try in 1 2 3 4 5 6 7 8 9; do pgrep -f '{LEASH}{{session}}' || exit 0; sleep 0.2; done
exit 1
"""


def orphan(name: str, session: str, job: str = "", user: str = "alice", engine: str = "docker") -> str:
    """Shell words that make a running container with a run's labels and an anonymous volume, but no run."""
    labels = " ".join(f"--label io.dgrid.{key}={value}" for key, value in
                      (("session", session), ("job", job), ("user", user)))  # fmt: skip
    return f"{engine} run -d --name {name} --network none -v /anonymous {labels} {IMAGE} sleep 900 >/dev/null"


def names(lab: Cluster, *hosts: str) -> list[str]:
    return [f"{host} {name}" for host in hosts for name in lab.engine(host).containers()]


@pytest.fixture(autouse=True)
def cleared(request: pytest.FixtureRequest) -> Iterator[None]:
    """A job gets the first nodes, and the nodes' engines are left empty, whatever the test did."""
    if "docker_lab" not in request.fixturenames and "docker_jobs" not in request.fixturenames:
        yield
        return
    lab: Cluster = request.getfixturevalue("docker_lab")
    lab.wait_idle()
    yield
    lab.run("scancel -u alice")
    lab.run(f"pkill -KILL -f '{LAUNCHER}'", host=lab.nodes[2])
    for node in lab.nodes[:3]:
        lab.run("docker ps -aq | xargs -r docker rm -fv", host=node)


def wait_until_running(lab: Cluster, host: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(lab.text("docker ps -q --filter label=io.dgrid.session", host=host).split()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.3)


def session_on(lab: Cluster, host: str, job: str) -> str:
    form = '{{.Label "io.dgrid.session"}}'
    return lab.text(["docker", "ps", "--filter", f"label=io.dgrid.job={job}", "--format", form], host=host)


def test_the_epilog_alone_cleans_a_job_whose_dgrid_and_leashes_were_killed(docker_jobs: Jobs) -> None:
    """A real job; Slurm's epilog on its two nodes; what others have there stays, and so does the user's other run."""
    lab = docker_jobs.lab
    one, two, three = lab.nodes[:3]
    definition = docker_jobs.write(head("sleep", "1000"), worker("w")).split("--dockdef=")[1]
    other = docker_jobs.write(head("sleep", "1000"), worker("other"), nodes=(three, two), network="host")
    lab.run(f"dgrid {other} -q >/dev/null 2>&1 & disown", host=three, check=True)
    wait_until_running(lab, two, 1)
    job = lab.qsub(JOB.format(definition=definition))
    wait_until_running(lab, one, 1)
    wait_until_running(lab, two, 2)
    session = session_on(lab, one, job)
    lab.run(orphan("bobs", "b0b", job, "bob"), host=one, check=True, user="bob")
    lab.run(f"docker run -d --name nobodys --network none {IMAGE} sleep 900", host=two, check=True)
    lab.run(KILL_ALL.format(session=session, other=two), host=one, check=True)
    killed = time.monotonic()
    assert lab.wait_job(job).state == "FAILED"
    seconds = time.monotonic() - killed
    print(f"from the kill to the end of the epilog: {seconds:.1f} s")
    assert names(lab, one) == [f"{one} bobs"]
    assert lab.engine(one).networks("io.dgrid.session") == [], "the overlay network was left"
    kept = names(lab, two)
    assert len(kept) == 2
    assert f"{two} nobodys" in kept
    assert any(name.startswith(f"{two} other-") for name in kept)
    assert seconds < 25
    assert lab.text("sinfo -h -N -o %t") == "\n".join(["idle"] * len(lab.nodes)), "the epilog drained a node"
    lab.run(f"pkill -TERM -f '{LAUNCHER}'; while pgrep -f '{LAUNCHER}' >/dev/null; do sleep 0.2; done", host=three)
    assert names(lab, two, three) == [f"{two} nobodys"]


def test_twice_at_once_and_beside_a_teardown(docker_jobs: Jobs) -> None:
    """A run is ending while two calls remove it: neither fails, nothing is left."""
    lab = docker_jobs.lab
    options = docker_jobs.write(head("sleep", "1000"), worker("w", scale=6), nodes=lab.nodes[:1] * 7)
    script = f"""
dgrid {options} -q & dgrid=$!
until [ "$(docker ps -q | wc -l)" = 7 ]; do sleep 0.1; done
session=$(docker ps --format '{{{{.Label "io.dgrid.session"}}}}' | head -n 1)
dgrid reap; echo "live: $?"
dgrid reap --session $session; echo "live and named: $?"
kill -TERM $dgrid
dgrid reap --session $session --force -q & first=$!
dgrid reap --session $session --force -q & second=$!
wait $first; echo "first: $?"; wait $second; echo "second: $?"; wait $dgrid; echo "dgrid: $?"
dgrid reap --session $session; echo "again: $?"
dgrid reap --user bob; echo "another user's: $?"
dgrid reap --job "$NOT_SET"; echo "empty: $?"
"""
    done = lab.run(script, host=lab.nodes[0], timeout=90)
    said = done.stdout.decode().splitlines()
    assert said.pop(5) in ("dgrid: 143", "dgrid: 137"), "it ends by the signal, or with its leash"
    assert said == [
        "nothing to remove", "live: 0", "live and named: 125", "first: 0", "second: 0", "nothing to remove", "again: 0",
        "another user's: 2", "empty: 2",
    ], done.stderr.decode()  # fmt: skip
    assert "its run lives; --force ends it" in done.stderr.decode()
    assert docker_jobs.left() == []


def test_a_run_that_lives_is_ended_when_the_batch_system_says_so(docker_jobs: Jobs) -> None:
    """Root names the job, as an epilogue does: containers, network, volumes and leash go; dgrid notices, and ends."""
    lab = docker_jobs.lab
    first = lab.nodes[0]
    options = docker_jobs.write(head("sleep", "1000"), worker("w", scale=2), nodes=(first,) * 3)
    lab.run(f"PBS_JOBID=7.front dgrid {options} -q >/dev/null 2>&1 & disown", host=first, check=True)
    wait_until_running(lab, first, 3)
    shown = lab.text(["dgrid", "reap", "--job", "7.front", "--dry-run"], host=first, user="root")
    assert shown.count("would remove container") == 3
    assert shown.count("would remove network") == 1
    assert len(names(lab, first)) == 3
    done = json.loads(
        lab.text(["dgrid", "reap", "--job", "7.front", "--user", "alice", "--json"], host=first, user="root")
    )
    assert {one["kind"] for one in done["removed"]} <= {"container", "network"}
    assert done["left"] == []
    assert lab.run(f"pgrep -f '{LEASH}'", host=first).returncode == 1
    lab.run(f"timeout 20 bash -c \"while pgrep -f '{LAUNCHER}'; do sleep 0.2; done\"", host=first, check=True)
    assert docker_jobs.left() == []


def test_an_engine_that_hangs_is_given_up_in_time(docker_jobs: Jobs) -> None:
    """dockerd stopped in its tracks: a failure on purpose, that says which engine and why, before the time is over."""
    lab = docker_jobs.lab
    script = "pkill -STOP -x dockerd; dgrid reap --job 1 --within 5; code=$?; pkill -CONT -x dockerd; exit $code"
    began = time.monotonic()
    done = lab.run(script, host=lab.nodes[0], user="root")
    assert done.returncode == 125, done.stderr.decode()
    assert "something may be left (Docker): Docker did not answer in time" in done.stderr.decode()
    assert time.monotonic() - began < 10


def test_root_cleans_a_users_rootless_podman(podman_lab: Cluster) -> None:
    """As an epilogue does: of the user it names, that job alone; and the user's own call finds the rest."""
    first = podman_lab.nodes[0]
    make = " && ".join(
        orphan(name, session, job, engine="podman") for name, session, job in (("a", "aa", "9.front"), ("b", "bb", ""))
    )
    podman_lab.run(f"{make} && podman run -d --name c {IMAGE} sleep 900", host=first, check=True)
    try:
        said = podman_lab.text(["dgrid", "reap", "--job", "9.front", "--user", "alice"], host=first, user="root")
        assert said == "removed container a of alice, job 9.front, session aa (Podman of alice)"
        said = podman_lab.text(["dgrid", "reap"], host=first)
        assert "removed container b of alice, session bb (Podman of alice)" in said.splitlines()
        assert podman_lab.text("podman ps -a --format '{{.Names}}'", host=first) == "c"
        assert len(podman_lab.text("podman volume ls -q", host=first).split()) == 0
    finally:
        podman_lab.run("podman rm -fa -t 0", host=first)


def test_the_epilog_alone_cleans_podman_when_all_the_users_processes_were_killed(podman_lab: Cluster) -> None:
    """As a batch system does it by cgroup or by user: with dgrid and leash go conmon and what Podman needs to live."""
    options = Jobs(podman_lab, "podman").write(head("sleep", "1000"), worker("w"))
    definition = options.split("--dockdef=")[1]
    job = podman_lab.qsub(JOB.replace("nodes=2", "nodes=1:ppn=2").format(definition=definition))
    first = podman_lab.nodes[0]
    podman_lab.run(
        "timeout 50 sh -c 'until [ \"$(pgrep -cx conmon)\" = 2 ]; do sleep 0.2; done'", host=first, check=True
    )
    podman_lab.run("pkill -STOP -u alice; pkill -KILL -u alice", host=first, user="root", check=True)
    assert podman_lab.wait_job(job).state == "FAILED"
    assert podman_lab.text("podman ps -aq; podman network ls -q --filter label=io.dgrid.session", host=first) == ""
    again = Jobs(podman_lab, "podman").run(head("true"), worker("w"), nodes=(first, first))
    assert again.code == 0, f"the next run suffers: {again.err}"
    # The directory of the service that was killed is left until it is surely nobody's.
    podman_lab.text("until ! ls -d /tmp/dgrid-* 2>/dev/null; do dgrid reap; sleep 1; done", host=first)


def test_epilogues_with_the_arguments_that_their_systems_document(docker_lab: Cluster) -> None:
    """Root runs them as shipped, with a hostile environment: the user's ended runs go, another user's stays."""
    first = docker_lab.nodes[0]
    of_torque = "'5[2].front' alice users job.sh 4711 nodes=2 cput=00:00:01 batch '' 271"
    hostile = "PYTHONPATH=/tmp DOCKER_HOST=unix:///nowhere XDG_CONFIG_HOME=/tmp HOME=/nowhere"
    docker_lab.run(orphan("theirs", "bb", "5[2].front", "bob"), host=first, check=True)
    for script in (f"torque-epilogue {of_torque}", "gridengine-epilog alice"):
        docker_lab.run(orphan("mine", "aa", "5[2].front"), host=first, check=True)
        done = docker_lab.run(f"{hostile} {ON_NODES}/{script}", host=first, user="root", check=True)
        assert done.stdout == b"", "an epilogue's stdout is the job's output"
        assert names(docker_lab, first) == [f"{first} theirs"]
        assert len(docker_lab.engine(first).volumes()) == 1, "an anonymous volume was left"


def test_oars_epilogue_cleans_all_nodes_of_the_job(docker_lab: Cluster) -> None:
    """With OAR's arguments; ssh and the change of user are those of the lab, by the settings' file."""
    one, two = docker_lab.nodes[:2]
    for node in (one, two):
        docker_lab.run(orphan("mine", "aa", "12"), host=node, check=True)
    settings = "mkdir -p /etc/dgrid && echo 'oar_ssh=ssh oar_root= drain=yes' >/etc/dgrid/epilogue"
    docker_lab.run(settings, host=one, user="root", check=True)
    try:
        docker_lab.run(f"printf '%s\\n' {one} {one} {two} {two} >nodes && {ON_NODES}/oar-epilogue 12 alice nodes 3600",
                       host=one, check=True)  # fmt: skip
        assert names(docker_lab, one, two) == []
        broken = docker_lab.run(
            f"printf '%s\\n' {one} nowhere >nodes && {ON_NODES}/oar-epilogue 12 alice nodes", host=one
        )
        assert broken.returncode == 1, "a node that cannot be reached was not told"
        assert docker_lab.run(f"{ON_NODES}/oar-epilogue '12; reboot' alice nodes", host=one).returncode == 2
    finally:
        docker_lab.run("rm -r /etc/dgrid", host=one, user="root")


def test_the_shell_scripts_are_shell(tmp_path: Path) -> None:
    """Each script is understood by the shell its first line names."""
    for script in (path for path in SITES.iterdir() if "epilog" in path.name):
        program, *options = script.read_text().splitlines()[0].removeprefix("#!").split()
        subprocess.run([program, *options, "-n", script], check=True)
