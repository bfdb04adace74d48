"""mpirun over the containers of a run."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
from jobs import Jobs, head, worker
from stock import SSHD, Stock

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/pbs/mpi-hello"
PAGE = ROOT / "docs/ssh-and-mpi.md"
PROGRAM = "from mpi4py import MPI; w = MPI.COMM_WORLD; print(w.allreduce(w.rank), MPI.Get_processor_name())"


def put_example(jobs: Jobs) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(EXAMPLE, "mpi-hello")
    jobs.lab.run("tar x -C ~", input=buffer.getvalue(), check=True)
    return "/home/alice/mpi-hello"


def ranks_on(text: str) -> list[str]:
    """The hosts that greet, in the order of the ranks."""
    return re.findall(r"^Hello from rank \d+ of \d+ on (\S+), as alice$", text, re.MULTILINE)


def mpi_workers(image: str, number: int, *command: str) -> dict[str, Any]:
    return worker("w", *command, image=image, scale=number, ports=[2222], ready={"tcp": 2222}, host_to_list=["True"])


def test_example_through_qsub(docker_jobs: Jobs, stock: Stock) -> None:
    """`qsub example.pbs` runs ranks on three nodes; they count pi right and pass a megabyte around."""
    stock.dgrids_openmpi(docker_jobs)
    lab, directory = docker_jobs.lab, put_example(docker_jobs)
    job = lab.text(f"cd {directory} && qsub example.pbs")
    assert lab.wait_job(job, timeout=120).exit_code == 0, lab.text(f"cat {directory}/*.o{job}")
    text = lab.text(f"cat {directory}/*.o{job}")
    assert ranks_on(text) == ["worker-1", "worker-2", "worker-3"]
    assert "pi is about 3.141593; a megabyte went around the ring unchanged" in text
    assert docker_jobs.left() == []


def test_nodes_own_network(jobs: Jobs, stock: Stock) -> None:
    """It works in the nodes' own network, on Docker, where nodes have other networks too, and on rootless Podman."""
    image = stock.dgrids_openmpi(jobs)
    volumes = [f"{put_example(jobs)}/hello.py:/hello.py:ro"]
    ended = jobs.run(
        head("mpirun", "--hostfile", "/dgrid/hostfile", "python3", "/hello.py", image=image),
        mpi_workers(image, 2, "serve-ssh") | {"volumes": volumes},
        hostfile_format="mpi",
        network="host",
    )
    assert ranks_on(ended.text) == list(jobs.lab.nodes[1:3]), ended.err
    assert "unchanged" in ended.text
    assert ended.code == 0


def test_one_machine(docker_jobs: Jobs, stock: Stock) -> None:
    """On one machine that poses as three nodes, the ranks are in containers of a bridge network."""
    image = stock.dgrids_openmpi(docker_jobs)
    options = docker_jobs.write(
        head("mpirun", "--hostfile", "/dgrid/hostfile", "python3", "-c", PROGRAM, image=image),
        mpi_workers(image, 2, "serve-ssh"),
        hostfile_format="mpi",
    )
    ended = docker_jobs.dgrid(f"{options.split()[1]} --local 3")
    assert sorted(ended.text.splitlines()) == ["1 w-1", "1 w-2"], ended.err


def test_failing_rank_fails_the_run(docker_jobs: Jobs, stock: Stock) -> None:
    """A rank's exit code is mpirun's, and so dgrid's."""
    image = stock.dgrids_openmpi(docker_jobs)
    ended = docker_jobs.run(
        head("mpirun", "--hostfile", "/dgrid/hostfile", "sh", "-c", "exit 7", image=image),
        mpi_workers(image, 2, "serve-ssh"),
        hostfile_format="mpi",
    )
    assert ended.code == 7, ended.err


def test_stock_openmpi_with_the_settings_of_the_page(jobs: Jobs, stock: Stock) -> None:
    """Debian's OpenMPI without dgrid's settings runs over nodes of a job with what docs/ssh-and-mpi.md has for it."""
    image = stock.image(jobs, "openmpi", nodes=3)
    (settings,) = (line for line in PAGE.read_text().splitlines() if line.startswith('    {"PRTE_MCA_ras"'))
    in_a_job = {"PBS_JOBID": "1", "PBS_ENVIRONMENT": "PBS_BATCH"}
    ended = jobs.run(
        head(
            "mpirun", "--hostfile", "/dgrid/hostfile", "python3", "-c", PROGRAM, image=image,
            environment_variables=in_a_job | json.loads(settings),
        ),
        mpi_workers(image, 2, *SSHD),
        hostfile_format="mpi",
        network="host",
    )  # fmt: skip
    assert sorted(ended.text.splitlines()) == [f"1 {node}" for node in jobs.lab.nodes[1:3]], ended.err
