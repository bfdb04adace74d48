"""This machine's engine, and images built on it for an ordinary user who need not exist."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from builds import USER, build_context, parse

from dgrid.config import Settings
from dgrid.images.build import BuildOrder, build
from dgrid.images.identity import identity_arguments
from dgrid.images.machine import Workshop, first_engine
from dgrid.lab.machine import DEFAULT_ENGINE, machine_at
from dgrid.lab.node_image import ensure_base
from dgrid.plan.allocation import Node

Build = Callable[..., str]


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    """This machine's Docker, with the base image on it."""
    ensure_base(machine_at(DEFAULT_ENGINE), print)
    with first_engine((Node("here", None, True),), os.getuid(), Settings(engine="docker")) as opened:
        yield opened


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The same engine, asked without dgrid."""
    client = docker.DockerClient(base_url=DEFAULT_ENGINE, timeout=60)
    yield client
    client.close()


@pytest.fixture
def make_image(workshop: Workshop, engine: docker.DockerClient, tmp_path: Path) -> Iterator[Build]:
    """``make_image("RUN ...", **files)`` builds on the base image and returns the name; removed at the end."""
    made: list[str] = []

    def make(body: str, **files: str) -> str:
        name = f"localhost/{USER.name}/test-{os.getpid()}-{len(made)}:1"
        context = build_context(tmp_path / str(len(made)), body, files)
        dockerfile = parse(context)
        arguments = identity_arguments(dockerfile, USER, {})
        build(BuildOrder(context, dockerfile, name, USER.name, tuple(arguments.items())), workshop, lambda _text: None)
        made.append(name)
        return name

    yield make
    for name in made:
        engine.images.remove(name, force=True)
