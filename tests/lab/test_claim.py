"""Two starts of one name at the same time, with an engine that is made up: the later one leaves the first alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up_engine import Engine, made_up

from dgrid.errors import LabError
from dgrid.lab.machine import Machine
from dgrid.lab.shape import Batch, Shape
from dgrid.lab.up import up

MINE = Shape("x", 1, Batch.NONE)
THEIRS = Shape("x", 2, Batch.NONE)
FIRST = {f"dgrid-lab-x-{host}" for host in THEIRS.hosts}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[tuple[Engine, Machine]]:
    with made_up(tmp_path) as both:
        yield both


def refused(machine: Machine) -> str:
    with pytest.raises(LabError) as caught:
        up(machine, MINE, lambda _text: None, {})
    return str(caught.value)


def test_a_lab_that_starts_alone(start: tuple[Engine, Machine]) -> None:
    """It is there, and the name is taken."""
    _, machine = start
    assert [host.host for host in up(machine, MINE, lambda _text: None, {}).hosts] == ["front", "node1"]
    assert "there is a lab x already" in refused(machine)


@pytest.mark.parametrize("moment", ["GET /images", "POST /networks/create"])
def test_a_lab_that_another_start_has_made_in_the_meantime(start: tuple[Engine, Machine], moment: str) -> None:
    """While the image was built, or at the last moment: that lab is told of, and all of it stays."""
    engine, machine = start

    def another(request: str) -> None:
        if request.startswith(moment) and not engine.containers and not engine.asked("DELETE"):
            engine.has_lab(THEIRS)

    engine.before = another
    assert refused(machine).startswith("there is a lab x already; choose another --name")
    assert engine.names() == FIRST
    assert (len(engine.networks), engine.volumes, engine.asked("DELETE")) == (1, {}, [])


def test_two_networks_of_one_name(start: tuple[Engine, Machine]) -> None:
    """The engine's check of names may miss one that is just being made: each start removes its own alone."""
    engine, machine = start

    def another(request: str) -> None:
        if engine.requests[-1:] == ["POST /networks/create"] and not engine.containers:
            engine.has_lab(THEIRS)

    engine.before = another
    assert "there is a lab x already" in refused(machine)
    assert engine.names() == FIRST
    assert [network["Id"] for network in engine.networks] == ["n1"]


def test_a_start_that_fails_removes_its_own(start: tuple[Engine, Machine]) -> None:
    """No part of it is left."""
    engine, machine = start

    def fails(request: str) -> None:
        if request == "POST /volumes/create" and len(engine.volumes) == 2:
            engine.add("dgrid-lab-x-front", {}, [], "exited")

    engine.before = fails
    assert "refused a part of lab x: the container name dgrid-lab-x-front is in use" in refused(machine)
    assert (engine.names(), engine.networks, engine.volumes) == ({"dgrid-lab-x-front"}, [], {})
