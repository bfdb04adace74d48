"""Nodes that come and go beside dead ones, and starts that are broken off, with an engine that is made up."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import DGRID, dgrid
from made_up_engine import Engine, made_up

from dgrid.errors import LabError
from dgrid.lab.find import find_lab
from dgrid.lab.grow import add, remove
from dgrid.lab.machine import Machine
from dgrid.lab.shape import Shape

FOUR = Shape("x", 4)
CHANGED = "/usr/local/lib/dgrid-lab/changed"
READY = "/usr/local/lib/dgrid-lab/ready"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Engine, Machine]]:
    with made_up(tmp_path) as both:
        yield both


def told(engine: Engine) -> dict[str, list[str]]:
    """Which nodes each host was told of."""
    return {host: argv[argv.index(CHANGED) + 1 :] for host, argv in engine.commands if CHANGED in argv}


def names(*hosts: str) -> set[str]:
    return {f"dgrid-lab-x-{host}" for host in hosts}


def test_nodes_are_added_beside_a_dead_one(running: tuple[Engine, Machine]) -> None:
    """The batch system is told of those that live; who cannot be told is named; the dead one is not waited for."""
    engine, machine = running
    engine.has_lab(FOUR, node2="exited", node3="paused")
    said: list[str] = []
    grown = add(machine, find_lab(machine, "x"), 1, said.append, deadline_s=5)
    lives = ["node1", "node3", "node4", "node5"]
    assert told(engine) == {"front": lives, "node1": lives, "node4": lives}
    assert said[1:3] == [
        "node2 is exited, and is not told of the change",
        "node3 is paused, and is not told of the change",
    ]
    assert grown.shape.nodes == ("node1", "node2", "node3", "node4", "node5")
    (new,) = (one for one in engine.containers.values() if one["Name"] == "dgrid-lab-x-node5")
    assert f"NODES={' '.join(lives)}" in new["Cmd"]


def test_no_node_is_added_without_a_frontend(running: tuple[Engine, Machine]) -> None:
    """It is said before anything is created."""
    engine, machine = running
    engine.has_lab(FOUR, front="exited")
    with pytest.raises(LabError, match="front of lab x is not running but exited, and no node can be added without it"):
        add(machine, find_lab(machine, "x"), 1, lambda _text: None)
    assert engine.asked("POST") == []


def test_one_of_two_dead_nodes_is_removed(running: tuple[Engine, Machine]) -> None:
    """It is said to be, and those that live are told."""
    engine, machine = running
    engine.has_lab(FOUR, node2="exited", node3="exited")
    said: list[str] = []
    remove(machine, find_lab(machine, "x"), ("node2",), said.append)
    assert said == ["removed node2", "node3 is exited, and is not told of the change"]
    assert engine.names() == names("front", "node1", "node3", "node4")
    assert told(engine) == {host: ["node1", "node4"] for host in ("front", "node1", "node4")}


def test_the_last_node_that_lives_is_removed(running: tuple[Engine, Machine]) -> None:
    """A dead one stays, of which nobody is told."""
    engine, machine = running
    engine.has_lab(Shape("x", 2), node2="exited")
    remove(machine, find_lab(machine, "x"), ("node1",), lambda _text: None)
    assert engine.names() == names("front", "node2")
    assert told(engine) == {}


def test_a_host_that_dies_while_it_is_told(running: tuple[Engine, Machine]) -> None:
    """What was removed is said all the same, and then who could not be told."""
    engine, machine = running
    engine.has_lab(FOUR)

    def dies(request: str) -> None:
        if "x-node1/exec" in request:
            next(one for one in engine.containers.values() if one["Name"] == "dgrid-lab-x-node1")["State"] = "exited"

    engine.before = dies
    said: list[str] = []
    with pytest.raises(LabError) as caught:
        remove(machine, find_lab(machine, "x"), ("node2", "node4"), said.append)
    assert said == ["removed node2", "removed node4"]
    first, second = str(caught.value).splitlines()
    assert first == "the hosts could not be told of the change:"
    assert second.startswith("  node1: Container ")


def test_a_node_that_could_not_be_made(running: tuple[Engine, Machine]) -> None:
    """Its volumes go, too."""
    engine, machine = running
    engine.has_lab(FOUR)
    engine.add("dgrid-lab-x-node6", {}, [], "exited")
    done = dgrid("lab", "add", "--name", "x", "2", DOCKER_HOST=machine.base_url)
    assert (done.returncode, engine.volumes) == (125, {})
    assert "the container name dgrid-lab-x-node6 is in use" in done.stderr
    assert engine.names() == names(*FOUR.hosts, "node6")


def adding(engine: Engine, machine: Machine, stderr: int) -> subprocess.Popen[str]:
    """`dgrid lab add` at the moment when it waits for a node that is never ready."""
    engine.has_lab(Shape("x", 1))
    engine.before = lambda request: time.sleep(0.05 if request.endswith("/exec") else 0)
    engine.exit_code = lambda argv: int(READY in argv)
    command = [*DGRID, "lab", "add", "--name", "x"]
    started = subprocess.Popen(
        command, env={**os.environ, "DOCKER_HOST": machine.base_url}, stdin=subprocess.DEVNULL, stderr=stderr, text=True
    )
    end = time.monotonic() + 30
    while not any(READY in argv for _, argv in engine.commands):
        assert started.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    return started


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_add_that_is_ended_leaves_nothing(running: tuple[Engine, Machine], number: signal.Signals) -> None:
    """The node goes, and the others are told so."""
    engine, machine = running
    with adding(engine, machine, subprocess.PIPE) as started:
        started.send_signal(number)
        _, said = started.communicate(timeout=30)
    assert (started.returncode, engine.names()) == (128 + number, names("front", "node1"))
    assert said.splitlines()[-2:] == ["dgrid lab: removing what was added", f"dgrid: ended by {number.name}"]
    assert told(engine)["node1"] == ["node1"]


def test_an_add_that_is_ended_by_two_signals_at_once_leaves_nothing(running: tuple[Engine, Machine]) -> None:
    """As by a session that ends; one of them is told, and nothing is said of the other."""
    engine, machine = running
    with adding(engine, machine, subprocess.PIPE) as started:
        started.send_signal(signal.SIGTERM)
        started.send_signal(signal.SIGHUP)
        _, said = started.communicate(timeout=30)
    assert engine.names() == names("front", "node1")
    number = signal.Signals(started.returncode - 128)
    assert number in (signal.SIGTERM, signal.SIGHUP)
    assert said.splitlines()[2:] == ["dgrid lab: removing what was added", f"dgrid: ended by {number.name}"]


def test_an_add_whose_terminal_is_closed_leaves_nothing(running: tuple[Engine, Machine]) -> None:
    """What can be said to nobody does not keep it from removing the node."""
    engine, machine = running
    ours, theirs = pty.openpty()
    with adding(engine, machine, theirs) as started:
        os.close(theirs)
        os.close(ours)
        started.send_signal(signal.SIGHUP)
        started.wait(timeout=30)
    assert (started.returncode, engine.names()) == (128 + signal.SIGHUP, names("front", "node1"))
