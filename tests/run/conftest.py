"""Two labs to run jobs on: one whose nodes have Docker in a swarm, one with rootless Podman."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from cluster import Cluster, running_lab
from jobs import IMAGE, Jobs
from stock import Stock

from dgrid.lab.machine import DEFAULT_ENGINE, machine_at
from dgrid.lab.node_image import ensure_base


@pytest.fixture(scope="session")
def job_image() -> str:
    """The image of the tests' jobs is the base image itself: bash, perl and coreutils are all they need."""
    ensure_base(machine_at(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE), print)
    return IMAGE


@pytest.fixture(scope="session")
def docker_lab(job_image: str) -> Iterator[Cluster]:
    """Four nodes with Docker, joined to a swarm, and a batch system."""
    for cluster in running_lab("rd", 4, "DGRID_TEST_SWARM_LAB", "--swarm"):
        cluster.load(job_image)
        yield cluster


@pytest.fixture(scope="session")
def podman_lab(job_image: str) -> Iterator[Cluster]:
    """Three nodes with rootless Podman and no Docker."""
    for cluster in running_lab("rp", 3, "DGRID_TEST_PODMAN_LAB", "--engine", "podman"):
        cluster.load(job_image)
        yield cluster


@pytest.fixture(scope="session")
def stock() -> Stock:
    """Images made of Debian's packages, built and loaded when a test asks for them."""
    return Stock()


@pytest.fixture
def docker_jobs(docker_lab: Cluster) -> Jobs:
    """Jobs on nodes with Docker."""
    return Jobs(docker_lab, "docker")


@pytest.fixture(params=["docker", "podman"])
def jobs(request: pytest.FixtureRequest) -> Jobs:
    """Jobs on nodes with Docker, then on nodes with Podman."""
    return Jobs(request.getfixturevalue(f"{request.param}_lab"), request.param)
