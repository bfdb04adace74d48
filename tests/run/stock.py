"""Images as anybody makes them of Debian's packages: they know nothing of dgrid or of the user, and run as root."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cluster import DGRID
from jobs import Jobs

ROOT = Path(__file__).parents[2]
MPI_IMAGES = ROOT / "docker_images/openmpi"
OPENMPI = "localhost/alice/dgrid.openmpi"
# What a worker of the python and openmpi images runs to be reached by ssh.
SSHD = ("/usr/sbin/sshd", "-D", "-e", "-f", "/dgrid/ssh/sshd_config")
PACKAGES = {
    "redis": "redis-server",
    "postgres": "postgresql",
    "python": "python3 git openssh-client openssh-server",
}
_DOCKERFILE = """FROM debian:trixie-slim
RUN apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {packages} \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
"""


class Stock:
    """Builds images on this machine and copies them to nodes, each once a session.

    Only to the nodes that run them: the images are large, and the time of a test is spent with copying them.
    """

    def __init__(self) -> None:
        self._built: set[str] = set()
        self._copied: set[tuple[str, str, str]] = set()

    def image(self, jobs: Jobs, name: str, nodes: int = 1) -> str:
        """The name of a stock image ("redis", "postgres", "python", "openmpi"), on the lab's first nodes."""
        image = f"localhost/dgridtest/stock-{name}:1"
        if name == "openmpi":
            return self._on(jobs, nodes, image, "--target", "packages", str(MPI_IMAGES))
        return self._on(jobs, nodes, image, "-", dockerfile=_DOCKERFILE.format(packages=PACKAGES[name]))

    def dgrids_openmpi(self, jobs: Jobs) -> str:
        """docker_images/openmpi, on all nodes of the lab."""
        return self._on(jobs, len(jobs.lab.nodes), OPENMPI, str(MPI_IMAGES))

    def _on(self, jobs: Jobs, nodes: int, image: str, *build: str, dockerfile: str = "") -> str:
        if image not in self._built:
            command = ["docker", "build", "--network", "host", "--tag", image, *build]
            done = subprocess.run(command, input=dockerfile, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr
            self._built.add(image)
        for node in jobs.lab.nodes[:nodes]:
            if (jobs.lab.name, node, image) not in self._copied:
                _copy(image, jobs, node)
                self._copied.add((jobs.lab.name, node, image))
        return image


def _copy(image: str, jobs: Jobs, node: str) -> None:
    load = [*DGRID, "lab", "run", "--name", jobs.lab.name, "--on", node, "--", jobs.engine, "load", "--quiet"]
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
        done = subprocess.run(load, stdin=save.stdout, capture_output=True, text=True)
    assert (save.returncode, done.returncode) == (0, 0), done.stderr
