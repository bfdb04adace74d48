"""The job that everybody starts from, over four nodes through a real qsub, with the stand-in for MongoDB."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from cluster import Cluster
from flavours import counted, load_mail_relays
from jobs import Jobs
from relay_tables import read_tables

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/pbs/mail-relays"
REFERENCE = ROOT / "tests/data/mail-relays.json"


@pytest.fixture(scope="module")
def example(docker_lab: Cluster) -> str:
    """The example in the lab user's home, its images on all nodes, its records made; the directory."""
    load_mail_relays(docker_lab)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(EXAMPLE, "mail-relays")
    docker_lab.run("tar x -C ~ && cd mail-relays && ./setup.sh records", input=buffer.getvalue(), check=True)
    return docker_lab.text("echo ~/mail-relays")


def test_example_counts_right(docker_jobs: Jobs, example: str) -> None:
    """`qsub example.pbs` prints each user's distinct relays a day, as going through the records gives them."""
    lab = docker_jobs.lab
    job = lab.text(f"cd {example} && qsub example.pbs")
    assert lab.wait_job(job, timeout=120).exit_code == 0
    assert read_tables(lab.text(f"cat {example}/*.o{job}")) == counted(lab, example)
    assert docker_jobs.left() == []


def test_first_dgrids_file_runs(docker_jobs: Jobs, example: str) -> None:
    """The file of 2016 runs unchanged but for image names and paths."""
    lab = docker_jobs.lab
    user = lab.text("id -un")
    text = REFERENCE.read_text()
    text = text.replace("testcluster:5000/", f"localhost/{user}/").replace("/home/user/mongo-job/", f"{example}/")
    assert len(json.loads(text)["containers"]) == 3
    lab.write(f"{example}/old.json", text)
    script = (
        f"#PBS -l nodes=4\n#PBS -l walltime=00:05:00\ndgrid --hostfile=$PBS_NODEFILE --dockdef={example}/old.json\n"
    )
    job = lab.qsub(script)
    assert lab.wait_job(job, timeout=120).exit_code == 0
    assert read_tables(lab.text(f"cat {lab.submitted_from(job)}/*.o{job}")) == counted(lab, example)
    assert docker_jobs.left() == []
