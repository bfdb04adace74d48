"""A lab with Torque's commands: qsub and qdel, `#PBS` lines and variables, on top of Slurm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cluster import Cluster
from flavours import check_delete, check_exit_code, check_limit, check_mail_relays, check_quickstart, flavour_lab
from test_flavour_slurm import Slurm

pytestmark = [pytest.mark.lab, pytest.mark.labs]


@dataclass(frozen=True)
class Torque(Slurm):
    """qsub and qdel; what has become of a job is Slurm's to say. ``examples`` is the example's directory."""

    examples: str = "pbs/quickstart"
    batch = "torque"

    def submit(self, lab: Cluster, directory: str, command: str, limit_s: int | None = None) -> str:
        lab.write(f"{directory}/job.sh", f"#PBS -j oe\ncd $PBS_O_WORKDIR\n{command}\n")
        limit = f",walltime={limit_s}" if limit_s else ""
        return lab.text(f"cd {directory} && qsub -l nodes=3{limit} job.sh")

    def submit_example(self, lab: Cluster, directory: str, name: str) -> str:
        return lab.text(f"cd {directory} && qsub {name}")

    def delete(self, lab: Cluster, job: str) -> None:
        lab.text(["qdel", job])

    def output(self, lab: Cluster, directory: str, job: str) -> str:
        return lab.text(f"cat {directory}/*.o{job}")


@pytest.fixture(scope="module")
def lab() -> Iterator[Cluster]:
    """Three nodes with Torque's commands."""
    yield from flavour_lab("torque")


def test_quickstart(lab: Cluster) -> None:
    """`qsub example.pbs` prints the workers' hellos and leaves nothing."""
    check_quickstart(lab, Torque(), "example.pbs")


def test_mail_relays(lab: Cluster) -> None:
    """`qsub` of the example, which is for four nodes, counts right with four containers on three."""
    check_mail_relays(lab, Torque("pbs/mail-relays"), "-l nodes=3:ppn=2 example.pbs")


def test_exit_code(lab: Cluster) -> None:
    """The job ends with the head's exit code."""
    check_exit_code(lab, Torque())


def test_qdel_leaves_nothing(lab: Cluster) -> None:
    """TERM reaches dgrid, which removes everything."""
    check_delete(lab, Torque(), within_s=20)


def test_walltime_leaves_nothing(lab: Cluster) -> None:
    """The shortest that Slurm knows is a minute."""
    check_limit(lab, Torque(), 60, within_s=60)
