"""What will go wrong in an image is told before its containers start."""

from __future__ import annotations

import pytest
from jobs import Jobs, head, worker

pytestmark = pytest.mark.lab


def test_volume_of_roots_is_told_before_the_start(docker_jobs: Jobs) -> None:
    """An image with a VOLUME is warned of, once for all its instances; with a mount there it is not."""
    for node in docker_jobs.lab.nodes:
        docker_jobs.lab.run(
            "printf 'FROM debian:trixie-slim\\nVOLUME /var/data\\n' | docker build -q -t localhost/volume:1 -",
            host=node, check=True,
        )  # fmt: skip
    options = "--allow-different-images"
    ended = docker_jobs.run(head("true"), worker("w", image="localhost/volume:1", scale=2), options=options)
    told = [line for line in ended.err.splitlines() if "dgrid image check localhost/volume:1" in line]
    assert len(told) == 1
    assert "/var/data" in told[0]
    volumes = ["/home/alice:/var/data"]
    mounted = docker_jobs.run(head("true"), worker("w", image="localhost/volume:1", volumes=volumes), options=options)
    assert "image check" not in mounted.err
