"""Engines that are restarted, go away, hang or have no room left while a run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from cluster import Cluster
from faults import as_root, counting, has_no_gap, has_sleepers, sleepers, wait_until, watched
from jobs import IMAGE, Jobs, head, shell, worker

pytestmark = pytest.mark.lab

SOCKET = "/run/second.sock"
DISK = "/var/lib/docker/second"
SECOND = f"docker -H unix://{SOCKET}"
STOP_SECOND = "pid=$(cat /run/second.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done"


def stop_engine(lab: Cluster, node: str, name: str = "TERM") -> str:
    """Ends a node's engine by a signal; the shell words that start it again as it was."""
    argv = json.loads(as_root(lab, node, "python3 -c \"import json; print(json.dumps("
                              "open('/proc/$(pidof -s dockerd)/cmdline').read().split(chr(0))[:-1]))\""))  # fmt: skip
    as_root(lab, node, f"pid=$(pidof dockerd); kill -{name} $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done")
    return f"setsid {' '.join(argv)} >>/var/log/dockerd.log 2>&1 </dev/null &"


def start_engine(lab: Cluster, node: str, again: str, engine: str = "docker") -> None:
    """Starts an engine in the background, and waits until it answers."""
    as_root(
        lab, node, f"{again} for i in $(seq 300); do {engine} version >/dev/null 2>&1 && exit; sleep 0.1; done; false"
    )


def test_engines_restarted_and_gone_for_good(docker_jobs: Jobs) -> None:
    """Containers that end with their engine are dealt with by policy; an engine that stays away makes its node a lost
    one, and its containers' processes are ended without it; the head's exit code is told also after a restart."""
    lab = docker_jobs.lab
    job = (counting(), sleepers(failure_policy="report"))
    with watched(docker_jobs, *job, settings="engine_wait_s = 5", network="host") as run:
        run.printed("1")
        gone = stop_engine(lab, "node3", "KILL")
        try:
            killed_at = time.monotonic()
            again = stop_engine(lab, "node2")
            start_engine(lab, "node2", again)
            run.said("node2: w-1 ended with exit code", 20)
            assert not has_sleepers(lab, "node2")
            run.said("node3: its engine has been away for 5 s", 20, since=killed_at)
            run.said("lost with it: w-2; the run goes on", 5)
            wait_until(lambda: not has_sleepers(lab, "node3"), 10)
            assert run.goes_on()
            again = stop_engine(lab, "node1")
            start_engine(lab, "node1", again)
            ended = run.end(30)
        finally:
            start_engine(lab, "node3", gone)
        assert ended.code in (137, 143)
        assert has_no_gap(ended)
        docker_jobs.wait_gone(30)


def test_an_engine_that_hangs_at_the_end(docker_jobs: Jobs) -> None:
    """The third signal says what is awaited; then it is given up, by name, the head's exit code is kept, and what is
    left goes once the engine answers."""
    lab = docker_jobs.lab
    with watched(docker_jobs, counting(), sleepers(2), network="host") as run:
        run.printed("1")
        as_root(lab, "node2", "kill -STOP $(pidof dockerd)")
        try:
            run.signal_head("USR2")
            wait_until(lambda: not as_root(lab, "node1", "docker ps -aqf label=io.dgrid.role=head"), 20)
            for _ in range(3):
                run.signal("TERM")
            run.said("still waiting for the engine of node2 to remove the run's containers", 10)
            ended = run.end(20)
        finally:
            as_root(lab, "node2", "kill -CONT $(pidof dockerd)")
        assert ended.code == 3
        assert "node2: its engine did not remove all soon after the second signal" in ended.err
        docker_jobs.wait_gone(30)


@pytest.fixture(scope="module")
def second_engine(docker_lab: Cluster) -> Iterator[str]:
    """On the first node, an engine of its own that is in no swarm, lets containers live on without it, and has a small
    disk; the words that start it again.

    Its bridge is its own: dockerd started with ``--bridge none`` deletes docker0, which the node's engine needs."""
    parent = "$(tr '\\0' '\\n' </proc/$(pidof -s dockerd)/cmdline | grep -x -A1 -e --cgroup-parent | tr '\\n' ' ')"
    start = (
        f"setsid dockerd --host unix://{SOCKET} --live-restore --bridge second --iptables=false --data-root {DISK} "
        f"--exec-root /run/second --pidfile /run/second.pid {parent} --exec-opt native.cgroupdriver=cgroupfs "
        ">>/var/log/second.log 2>&1 </dev/null &"
    )
    as_root(docker_lab, "node1", f"mkdir {DISK} && mount -t tmpfs -o size=300m tmpfs {DISK}; "
            "ip link add second type bridge && ip address add 10.199.0.1/24 dev second")  # fmt: skip
    try:
        start_engine(docker_lab, "node1", start, SECOND)
        as_root(docker_lab, "node1", f"docker save {IMAGE} | {SECOND} load")
        yield start
    finally:
        as_root(docker_lab, "node1", f"{SECOND} ps -aq | xargs -r {SECOND} rm -f; {STOP_SECOND}; umount -l {DISK}; "
                f"ip link delete second; rm -r {DISK} /run/second*; true")  # fmt: skip


def test_an_engine_restarted_under_living_containers(docker_jobs: Jobs, second_engine: str) -> None:
    """With live-restore the run goes on, head and workers, and says what that may mean for the output."""
    lab = docker_jobs.lab
    keys = {"nodes": ("node1", "node1"), "network": "host", "options": f"--engine-socket {SOCKET}"}
    with watched(docker_jobs, counting(), sleepers(1), **keys) as run:
        run.printed("1")
        as_root(
            lab, "node1", "pid=$(cat /run/second.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done"
        )
        time.sleep(1)
        start_engine(lab, "node1", second_engine, SECOND)
        run.said("node1: its engine answers again", 20)
        run.said("node1: attached again to head; what it wrote while its engine was restarted may be missing", 10)
        assert run.goes_on()
        assert has_sleepers(lab, "node1")
        run.signal_head("USR2", SECOND)
        assert run.end(30).code == 3
    assert as_root(lab, "node1", f"{SECOND} ps -aq") == ""


def test_a_disk_that_is_full(docker_jobs: Jobs, second_engine: str) -> None:
    """A container that fills its engine's disk ends as it chooses to, and is removed; where there is no room for
    another, its node and the reason are told."""
    lab = docker_jobs.lab
    options = f"--engine-socket {SOCKET}"
    full = head(*shell("cat /dev/zero >/tmp/full; echo over >&2; rm /tmp/full; exit 4"))
    ended = docker_jobs.run(full, nodes=("node1",), network="host", options=options)
    assert (ended.code, "No space left on device" in ended.err) == (4, True)
    as_root(lab, "node1", f"cat /dev/zero >{DISK}/full || true")
    try:
        ended = docker_jobs.run(head("true"), nodes=("node1",), network="host", options=options)
    finally:
        as_root(lab, "node1", f"rm {DISK}/full")
    assert ended.code == 125
    assert "node1: " in ended.err
    assert "no space left on device" in ended.err
    assert as_root(lab, "node1", f"{SECOND} ps -aq") == ""


def test_no_room_for_dgrids_own_files(docker_jobs: Jobs) -> None:
    """OpenSSH's sockets need a directory: where none can be made, dgrid says so, and begins nothing."""
    lab = docker_jobs.lab
    options = docker_jobs.write(head("true"), worker("w"), nodes=lab.nodes[:2])
    places = "/tmp /var/tmp /small"
    as_root(lab, "node1", f"mkdir /small; for d in {places}; do mount -t tmpfs -o nr_inodes=1,mode=1777 tmpfs $d; done")
    try:
        ended = docker_jobs.dgrid(f"{options} --link openssh", before="cd /small; exec")
    finally:
        as_root(lab, "node1", f"umount {places} && rmdir /small")
    assert ended.code == 125
    assert "node2: there is no room on this machine for ssh's sockets (No usable temporary directory" in ended.err
