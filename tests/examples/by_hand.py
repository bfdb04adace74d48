"""Containers started by hand, as dgrid starts them, for the tests of the examples."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAIL_RELAYS = ROOT / "examples/pbs/mail-relays"
IMAGES = ROOT / "docker_images"
# Where the tests run as root, the images are for an ordinary user who need not exist.
UID = os.getuid() or 2001

Records = Callable[..., Path]


def docker(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """One docker command; where it must succeed and does not, its stderr is in the error."""
    done = subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {arguments[0]}: {done.stderr}{done.stdout[-2000:]}")
    return done


@dataclass(frozen=True)
class Hand:
    """Containers of one test on one bridge network, started as dgrid starts them: no root, no capabilities.

    ``keys`` is a directory with what dgrid places for ssh: ``dgrid/ssh`` and ``etc/ssh/ssh_config.d``.
    """

    network: str
    keys: Path

    def run(self, name: str, image: str, *command: str, options: tuple[str | Path, ...] = ()) -> str:
        """Starts a container in the background; the name that others reach it by."""
        docker("run", "--detach", *self.common(name), *options, image, *command)
        return name

    def call(self, image: str, *command: str, options: tuple[str | Path, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Runs a container to its end."""
        return docker("run", "--rm", *self.common("caller"), *options, image, *command, check=False)

    def logs(self, name: str) -> str:
        done = docker("logs", f"{self.network}-{name}")
        return done.stdout + done.stderr

    def common(self, name: str) -> tuple[str, ...]:
        hardening = ("--user", f"{UID}:{UID}", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--init")
        names = ("--name", f"{self.network}-{name}", "--network-alias", name, "--network", self.network)
        places = ("dgrid/ssh", "etc/ssh/ssh_config.d/dgrid.conf")
        mounts = [part for place in places for part in ("--volume", f"{self.keys / place}:/{place}:ro")]
        return (*hardening, *names, *mounts, "--label", self.network)


@dataclass(frozen=True)
class Images:
    """Names of the example's images, built for the tests' user."""

    pyssh: str = "localhost/dgridtest/dgrid.pyssh"
    mongodb: str = "localhost/dgridtest/dgrid.mongodb"
    openmpi: str = "localhost/dgridtest/dgrid.openmpi"
