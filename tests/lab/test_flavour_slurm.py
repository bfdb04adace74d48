"""A lab with plain Slurm: sbatch and scancel, without the Torque commands and their variables."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest
from cluster import Cluster, dgrid
from flavours import (
    check_delete,
    check_exit_code,
    check_limit,
    check_mail_relays,
    check_quickstart,
    flavour_lab,
    new_directory,
)

pytestmark = pytest.mark.lab


class Slurm:
    """sbatch, scancel and scontrol."""

    batch = examples = "slurm"

    def submit(self, lab: Cluster, directory: str, command: str, limit_s: int | None = None) -> str:
        lab.write(f"{directory}/job.sh", f"#!/bin/bash\n{command}\n")
        limit = f"--time={-(-limit_s // 60)}" if limit_s else ""
        return lab.text(f"cd {directory} && sbatch --parsable --nodes=3 --ntasks-per-node=1 {limit} job.sh")

    def submit_example(self, lab: Cluster, directory: str, name: str) -> str:
        return lab.text(f"cd {directory} && sbatch --parsable {name}")

    def wait(self, lab: Cluster, job: str, timeout_s: float) -> int | None:
        end = time.monotonic() + timeout_s
        while (facts := self._facts(lab, job))["JobState"] in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING"):
            assert time.monotonic() < end, f"job {job} is still {facts['JobState']} after {timeout_s} s"
            time.sleep(0.5)
        code, signum = map(int, facts["ExitCode"].split(":"))
        return code or 128 + signum if facts["JobState"] != "COMPLETED" else 0

    def delete(self, lab: Cluster, job: str) -> None:
        lab.text(["scancel", job])

    def output(self, lab: Cluster, directory: str, job: str) -> str:
        return lab.text(f"cat {directory}/slurm-{job}.out")

    def _facts(self, lab: Cluster, job: str) -> dict[str, str]:
        return dict(re.findall(r"(\w+)=(\S*)", lab.text(["scontrol", "show", "job", job])))


@pytest.fixture(scope="module")
def lab() -> Iterator[Cluster]:
    """Three nodes with Slurm."""
    yield from flavour_lab("slurm")


def test_all_nodes_are_idle(lab: Cluster) -> None:
    """Status has Slurm's word for each node."""
    rows = json.loads(dgrid("lab", "status", "--name", lab.name, "--json").stdout)
    assert [row["batch"] for row in rows] == [None, "idle", "idle", "idle"]


def test_it_is_slurm_alone(lab: Cluster) -> None:
    """There is no qsub, and a job has no variable of PBS."""
    assert lab.run(["which", "qsub"]).returncode == 1
    directory = new_directory(lab)
    job = Slurm().submit(lab, directory, "env | grep ^PBS_")
    assert Slurm().wait(lab, job, 60) == 1
    assert Slurm().output(lab, directory, job) == ""


def test_quickstart(lab: Cluster) -> None:
    """`sbatch quickstart.sbatch` prints the workers' hellos and leaves nothing."""
    check_quickstart(lab, Slurm(), "quickstart.sbatch")


@pytest.mark.labs
def test_mail_relays(lab: Cluster) -> None:
    """`sbatch mail-relays.sbatch` counts right, with four containers on three nodes."""
    check_mail_relays(lab, Slurm(), "mail-relays.sbatch")


def test_exit_code(lab: Cluster) -> None:
    """The job ends with the head's exit code."""
    check_exit_code(lab, Slurm())


def test_scancel_leaves_nothing(lab: Cluster) -> None:
    """TERM reaches dgrid, which removes everything."""
    check_delete(lab, Slurm(), within_s=20)


@pytest.mark.labs
def test_time_limit_leaves_nothing(lab: Cluster) -> None:
    """The shortest limit that Slurm knows is a minute."""
    check_limit(lab, Slurm(), 60, within_s=60)
