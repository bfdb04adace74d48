"""dgrid doctor on real nodes: where all is well, and where several things are wrong at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from cluster import LABEL, Cluster, machine_engine
from jobs import IMAGE, Ended, Jobs, head, worker

pytestmark = pytest.mark.lab

NAMED_ALIKE = "localhost/alice/alike:1"
PORT = 5077
# What could be left or started.
OBJECTS = "docker ps -aq; docker network ls -q; docker image ls -aq; docker volume ls -q; ls -A /tmp ~alice"
PROCESSES = "ps -eo user:20,args --no-headers | grep -v -e 'ps -eo' -e 'bash -c' -e ' grep ' -e sshd -e ' sort$' | sort"


def as_root(lab: Cluster, host: str, script: str, check: bool = True) -> str:
    """What a script prints, run by root on a host of the lab."""
    (container,) = machine_engine().containers.list(filters={"label": [f"{LABEL}={lab.name}", f"{LABEL}.host={host}"]})
    code, output = container.exec_run(["bash", "-c", script])
    assert code == 0 or not check, output.decode()
    return output.decode()


@contextmanager
def engine_stopped(lab: Cluster, host: str) -> Iterator[None]:
    """Without its dockerd, which is started anew in the end, as it was."""
    command = as_root(lab, host, "tr '\\0' ' ' </proc/$(pidof -s dockerd)/cmdline")
    as_root(lab, host, "p=$(pidof -s dockerd); kill $p; while kill -0 $p 2>/dev/null; do sleep 0.1; done")
    try:
        yield
    finally:
        as_root(
            lab,
            host,
            f"setsid --fork {command} >>/var/log/dockerd.log 2>&1 </dev/null; "
            "for i in $(seq 300); do docker version >/dev/null 2>&1 && exit; sleep 0.1; done; exit 1",
        )


@contextmanager
def done_and_undone(lab: Cluster, host: str, do: str, undo: str) -> Iterator[None]:
    as_root(lab, host, do)
    try:
        yield
    finally:
        as_root(lab, host, undo, check=False)


def alike(lab: Cluster, host: str) -> Any:
    """An image of the same name, and of another content on each node."""
    make = f"echo {host} >/tmp/alike && tar c -C /tmp alike | docker import - {NAMED_ALIKE} && rm /tmp/alike"
    return done_and_undone(lab, host, make, f"docker image rm -f {NAMED_ALIKE}")


def listener(lab: Cluster, host: str) -> Any:
    """Somebody listens on the port."""
    program = f"IO::Socket::INET->new(LocalPort => {PORT}, Listen => 1) or die; sleep 300"
    start = f"perl -MIO::Socket::INET -e '$s = {program}' >/dev/null 2>&1 & echo $! >/run/listener"
    return done_and_undone(lab, host, start, "kill $(cat /run/listener); rm /run/listener")


def leftover(lab: Cluster, host: str, session: str) -> Any:
    """A container of alice's with a run's labels, and without a run."""
    labels = f"--label io.dgrid.session={session} --label io.dgrid.user=alice --label io.dgrid.job=7.front"
    return done_and_undone(
        lab, host, f"docker create --name left-{session} {labels} {IMAGE} true", f"docker rm -f left-{session}"
    )


@pytest.fixture
def jobs(docker_lab: Cluster) -> Jobs:
    """On three nodes with Docker."""
    return Jobs(Cluster(docker_lab.name, docker_lab.nodes[:3]), "docker")


def doctor(jobs: Jobs, arguments: str) -> tuple[Ended, dict[str, Any]]:
    """How it ended, and its findings as data."""
    ended = jobs.dgrid(f"doctor --json {arguments}")
    assert ended.text, ended.err
    return ended, json.loads(ended.text)


def told(data: dict[str, Any], check: str, state: str = "problem") -> list[tuple[list[str], str]]:
    """Nodes and texts of the findings of that name and state."""
    return [(one["nodes"], one["what"]) for one in data["findings"] if (one["check"], one["state"]) == (check, state)]


@contextmanager
def live_run(jobs: Jobs, first: str, second: str) -> Iterator[None]:
    """A run of alice's, on two nodes; it is over at the end."""
    options = jobs.write(head("sleep", "60"), worker("mate"), nodes=(first, second))
    jobs.lab.run(f"dgrid {options} >/dev/null 2>&1 & echo $! >live.pid; disown", host=first, check=True)
    try:
        for node in (first, second):
            as_root(jobs.lab, node, "until docker ps -q --filter label=io.dgrid.node | grep -q .; do sleep 0.1; done")
        yield
    finally:
        jobs.lab.run("kill $(cat live.pid)", host=first)
        jobs.wait_gone(30)


def traces(lab: Cluster, nodes: Sequence[str], script: str) -> dict[str, str]:
    return {node: as_root(lab, node, script) for node in nodes}


def test_where_all_is_well_nothing_is_a_problem_and_nothing_is_left(jobs: Jobs) -> None:
    """Every node is reached and examined, in text and as data; nothing there has changed."""
    nodes = list(jobs.lab.nodes)
    options = jobs.write(head("true"), worker("other"))
    before = traces(jobs.lab, nodes, f"{OBJECTS}; {PROCESSES}")
    ended, data = doctor(jobs, options)
    assert (ended.code, ended.err) == (0, "")
    assert data["nodes"] == nodes and data["state"] in ("ok", "note") and data["job"] is None
    assert told(data, "ssh", "ok") == [
        (nodes[:1], "reached without ssh, as it is this machine"),
        (nodes[1:], "reached by ssh (paramiko)"),
    ]
    for check in ("account", "clock", "engine", "engine.init", "disk", "tmp", "memory", "tools", "leftovers", "swarm"):
        assert [found for found, _ in told(data, check, "ok")] == [nodes], (check, data)
    ((where, what),) = told(data, "images", "ok")
    assert where == nodes[:2] and what.startswith(f"{IMAGE} (") and what.endswith(") is there")

    text = jobs.dgrid("doctor --link openssh -w 'node[2-3],node1'")
    assert text.code == 0 and "ok       node[2-3]: reached by ssh (openssh, as you asked)\n" in text.text
    assert text.text.splitlines()[-1].startswith("3 nodes: ")
    assert traces(jobs.lab, nodes, f"{OBJECTS}; {PROCESSES}") == before


def test_of_many_faults_none_hides_another(jobs: Jobs) -> None:
    """A stopped engine, an unknown node, an image of another content, a taken port, a leftover: each is told with its
    node and remedy, and nothing else is wrong."""
    lab = jobs.lab
    first, second, third = lab.nodes[:3]
    options = jobs.write(
        {**head("true"), "image": NAMED_ALIKE},
        {"name": "other", "image": NAMED_ALIKE, "ports": [PORT], "placement": {"on": "others"}},
        nodes=(*lab.nodes, "node99"),
        network="host",
    )
    with live_run(jobs, first, second), ExitStack() as faults:  # what is live is not left over
        for fault in (alike(lab, first), alike(lab, second)):
            faults.enter_context(fault)
        without, named = doctor(jobs, f"-w {first},{second}")
        for fault in (listener(lab, second), leftover(lab, second, "gone1")):
            faults.enter_context(fault)
        faults.enter_context(engine_stopped(lab, third))
        before = traces(lab, (first, second), OBJECTS)
        ended, data = doctor(jobs, f"{options} --engine docker")
        assert traces(lab, (first, second), OBJECTS) == before
    assert (ended.code, ended.err) == (125, "")
    assert [found for found, _ in told(data, "ssh")] == [["node99"]]
    assert "does not resolve" in told(data, "ssh")[0][1]
    assert told(data, "engine") == [([third], "found no docker")]
    ((where, what),) = told(data, "images")
    assert where == [first, second] and what.startswith(f"{NAMED_ALIKE} is not the same everywhere: ")
    assert told(data, "ports") == [([second], f"port {PORT}, which other declares, is taken there")]
    ((where, what),) = told(data, "leftovers", "note")
    assert where == [second]
    assert what == "1 container of your session gone1, job 7.front, which is not live there"
    assert without.code == 0
    ((where, what),) = told(named, "images.names", "note")
    assert where == [first, second] and what.startswith(f"{NAMED_ALIKE} is not the same everywhere: ")
    assert all(one["remedy"] for one in data["findings"] if one["state"] != "ok")


def test_rootless_podman_is_examined_and_its_service_is_gone_after(podman_lab: Cluster) -> None:
    """With its version, its ids, and what limits are worth there; the check's own service ends with it."""
    jobs = Jobs(podman_lab, "podman")
    ended, data = doctor(jobs, jobs.write(head("true")))
    assert ended.code == 0, data
    nodes = list(podman_lab.nodes)
    ((where, what),) = told(data, "engine", "ok")
    assert where == nodes and what.startswith("Podman ") and what.endswith(" (rootless) answers you")
    assert told(data, "podman.ids", "ok") == [(nodes, "subordinate ids for rootless Podman: 65536")]
    assert jobs.left() == []


def test_wrong_options_are_refused(jobs: Jobs) -> None:
    """With 2, and what to do."""
    both = jobs.dgrid("doctor -w node1 --local 2")
    assert (both.code, both.err) == (2, "dgrid: -w contradicts --hostfile and --local — give one of them\n")
    broken = jobs.dgrid("doctor -w 'node[1-'")
    assert broken.code == 2 and "-w node[1-: these are no node names" in broken.err
