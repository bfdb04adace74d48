"""dgrid in real batch jobs: #PBS lines, qsub, qdel."""

from __future__ import annotations

import time

import pytest
from jobs import Jobs, head, shell, worker

pytestmark = pytest.mark.lab

SCRIPT = """#!/bin/bash
#PBS -l nodes=4
#PBS -l walltime=00:05:00
dgrid {arguments}
"""


def test_job_script_ends_with_the_heads_exit_code(docker_jobs: Jobs) -> None:
    """qsub, a node file of four nodes, a head that ends with 7: so does the job. The job is known inside."""
    lab = docker_jobs.lab
    script = "echo job $DGRID_JOB of $PBS_JOBID; exit 7"
    definition = docker_jobs.write(head(*shell(script)), worker("w", scale=3)).split("--dockdef=")[1]
    job = lab.qsub(SCRIPT.format(arguments=f"--hostfile=$PBS_NODEFILE --dockdef={definition}"))
    assert lab.wait_job(job).exit_code == 7
    assert f"job {job} of {job}" in lab.text(f"cat {lab.submitted_from(job)}/*.o{job}")
    assert docker_jobs.left() == []


def test_allocation_is_found_without_hostfile(docker_jobs: Jobs) -> None:
    """In a job the node file need not be given."""
    lab = docker_jobs.lab
    definition = docker_jobs.write(
        head("cat", "/dgrid/hostfile.json"), worker("w", scale=3, host_to_list=["tag=w"]), network="host"
    ).split("--dockdef=")[1]
    job = lab.qsub(SCRIPT.format(arguments=f"--dockdef={definition}"))
    assert lab.wait_job(job).exit_code == 0
    assert '"node4"' in lab.text(f"cat {lab.submitted_from(job)}/*.o{job}")


def test_qdel_leaves_nothing(docker_jobs: Jobs) -> None:
    """A deleted job's containers and networks are gone on all nodes before the batch system's patience is over."""
    lab = docker_jobs.lab
    definition = docker_jobs.write(head(*shell("echo up; sleep 300")), worker("w", scale=3)).split("--dockdef=")[1]
    job = lab.qsub(SCRIPT.format(arguments=f"--hostfile=$PBS_NODEFILE --dockdef={definition}"))
    deadline = time.monotonic() + 60
    while len(docker_jobs.left()) < 4:
        assert time.monotonic() < deadline, "the job's containers did not come up"
        time.sleep(0.5)
    lab.run(["qdel", job], check=True)
    docker_jobs.wait_gone(10)
