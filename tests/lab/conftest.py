"""One lab for all tests of a session, and an image to run in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from cluster import Cluster, running_lab

from dgrid.lab.machine import DEFAULT_ENGINE, machine_at
from dgrid.lab.node_image import BASE, ensure_base


@pytest.fixture(scope="session")
def lab() -> Iterator[Cluster]:
    """A running lab of four nodes, with qsub. ``DGRID_TEST_LAB=dev`` uses the lab dev instead and leaves it running."""
    yield from running_lab("t", 4, "DGRID_TEST_LAB")


@pytest.fixture(scope="session")
def test_image() -> str:
    """An image to run in the lab: the base image, which has bash and perl, and needs no registry."""
    ensure_base(machine_at(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE), print)
    return BASE


@pytest.fixture(scope="session")
def lab_with_image(lab: Cluster, test_image: str) -> Cluster:
    """The lab, with the test image on every node."""
    lab.load(test_image)
    return lab
