"""Nodes reached by the batch system's own command, here Slurm's srun: the whole of a run, and its end in all ways."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from jobs import Jobs, head, shell, worker

pytestmark = pytest.mark.lab

SCRIPT = """#!/bin/bash
#PBS -l nodes=3
#PBS -l walltime=00:05:00
dgrid --dockdef={definition} {options}
"""
# The controller hears a moment later that a step has ended; the job's script is a step, too.
STEPS = """for _ in {1..25}
do
    steps=$(squeue -h -s -j $PBS_JOBID)
    [ $(wc -l <<< "$steps") = 1 ] && break
    sleep 0.2
done
echo "$steps"
"""
LONG = shell("echo up; exec sleep 300")


@pytest.fixture(autouse=True)
def idle_nodes(docker_jobs: Jobs) -> Iterator[None]:
    """A job of three nodes gets the first three; what a test that fails has left disturbs no other."""
    docker_jobs.lab.wait_idle()
    yield
    docker_jobs.lab.run("scancel -u alice")
    docker_jobs.wait_gone(40)


@pytest.fixture
def ssh_refused(docker_jobs: Jobs) -> Iterator[None]:
    """The user's keys let nobody in any more."""
    docker_jobs.lab.run("mv ~/.ssh/authorized_keys ~/.ssh/kept", check=True)
    yield
    docker_jobs.lab.run("mv ~/.ssh/kept ~/.ssh/authorized_keys", check=True)


def submit(jobs: Jobs, head_command: tuple[str, ...], options: str) -> str:
    """The id of a job with a head and two workers, on three nodes."""
    written = jobs.write(head(*head_command), worker("w", *LONG, scale=2), network="host")
    return jobs.lab.qsub(SCRIPT.format(definition=written.split("--dockdef=")[1], options=options))


def output(jobs: Jobs, job: str) -> str:
    return jobs.lab.text(f"cat {jobs.lab.submitted_from(job)}/*.[oe]{job}")


def wait_running(jobs: Jobs, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(jobs.left()) < count:
        assert time.monotonic() < deadline, "the containers did not come up"
        time.sleep(0.5)


def test_a_run_goes_by_srun(docker_jobs: Jobs) -> None:
    """Nothing is to be seen of ssh; the exit code is the head's, and nothing stays, not even a step of the job."""
    job = submit(docker_jobs, shell("pgrep -ax ssh; exit 7"), f"--link batch; code=$?\n{STEPS}exit $code")
    assert docker_jobs.lab.wait_job(job).exit_code == 7
    said = output(docker_jobs, job)
    assert "starting 2 workers" in said
    steps = [line.split()[0] for line in said.splitlines() if line.split() and line.split()[0].startswith(f"{job}.")]
    assert steps == [f"{job}.batch"]
    assert docker_jobs.left() == []


@pytest.mark.usefixtures("ssh_refused")
def test_where_ssh_is_refused_it_goes_by_srun(docker_jobs: Jobs) -> None:
    """By itself, and it says so; by ssh alone it does not."""
    job = submit(docker_jobs, shell("exit 7"), "")
    assert docker_jobs.lab.wait_job(job).exit_code == 7
    assert "reached by `srun`, as ssh is refused there (" in output(docker_jobs, job)
    job = submit(docker_jobs, shell("exit 7"), "--link paramiko")
    assert docker_jobs.lab.wait_job(job).exit_code == 125
    assert docker_jobs.left() == []


def test_a_killed_dgrid_leaves_nothing(docker_jobs: Jobs) -> None:
    """The leashes went by srun as well, and outlive it."""
    submit(docker_jobs, LONG, "--link batch & wait; sleep 60")
    wait_running(docker_jobs, 3)
    began = time.monotonic()
    docker_jobs.lab.run("pkill -KILL -f 'dgrid --dockdef'", host="node1", check=True)
    docker_jobs.wait_gone(25)
    assert time.monotonic() - began < 25
    docker_jobs.lab.run("qdel all || scancel -u alice")


def test_a_killed_carrier_is_a_lost_node(docker_jobs: Jobs) -> None:
    """Its containers are removed by its leash, all others by dgrid."""
    job = submit(docker_jobs, LONG, "--link batch")
    wait_running(docker_jobs, 3)
    docker_jobs.lab.run("pkill -KILL -f -- '-w node3 sh'", host="node1", check=True)
    assert docker_jobs.lab.wait_job(job).exit_code == 125
    assert "node3:" in output(docker_jobs, job)
    docker_jobs.wait_gone(25)


def test_qdel_leaves_nothing(docker_jobs: Jobs) -> None:
    """All of the job's processes get TERM, dgrid and its carriers among them; the KILL comes 10 s after."""
    job = submit(docker_jobs, LONG, "--link batch")
    wait_running(docker_jobs, 3)
    docker_jobs.lab.run(["qdel", job], check=True)
    docker_jobs.wait_gone(20)


def test_a_stopped_dgrid_is_not_lost(docker_jobs: Jobs) -> None:
    """The other nodes are told, by srun again: longer than the lease their containers wait, and then go on."""
    job = submit(docker_jobs, shell("echo up; sleep 25; exit 7"), "--link batch")
    wait_running(docker_jobs, 3)
    docker_jobs.lab.run("pkill -STOP -f 'dgrid --dockdef'", host="node1", check=True)
    time.sleep(22)
    assert len(docker_jobs.left()) == 3
    docker_jobs.lab.run("pkill -CONT -f 'dgrid --dockdef'", host="node1", check=True)
    assert docker_jobs.lab.wait_job(job).exit_code == 7
    assert docker_jobs.left() == []
