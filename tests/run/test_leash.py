"""Nothing stays when dgrid is killed outright: the leashes on the nodes see to it."""

from __future__ import annotations

import signal

import pytest
from jobs import Jobs, head, worker

pytestmark = pytest.mark.lab

KILLED = 128 + signal.SIGKILL
START = "dgrid {options} {extra} >/dev/null 2>&1 & until pgrep -fx 'sleep 1000' >/dev/null; do sleep 0.1; done; sleep 1"


@pytest.mark.parametrize("extra", ["", "--link openssh"], ids=["paramiko", "openssh"])
def test_dgrid_killed_outright(jobs: Jobs, extra: str) -> None:
    """After kill -9 of dgrid its containers are gone on every node, in seconds, and so is all else it started."""
    options = jobs.write(head("sleep", "1000"), worker("w", scale=2))
    done = jobs.lab.run(f"{START.format(options=options, extra=extra)}; kill -KILL $!; wait", host=jobs.lab.nodes[0])
    assert done.returncode == 0
    jobs.wait_gone(30)


def test_dgrid_killed_with_its_whole_session(jobs: Jobs) -> None:
    """A batch system kills all processes of the job's session; the leashes are not in it."""
    options = jobs.write(head("sleep", "1000"), worker("w"))
    script = f'setsid bash -c "{START.format(options=options, extra="").replace("$", chr(92) + "$")}; kill -KILL 0"'
    jobs.lab.run(script, host=jobs.lab.nodes[0])
    jobs.wait_gone(30)


def test_other_runs_are_left_alone(docker_jobs: Jobs) -> None:
    """Killing one run touches no container of another, nor one that is nobody's.

    They start one after the other: of two overlay networks that come up at once Docker 26.1 may not attach to one.
    """
    first, second = docker_jobs.lab.nodes[:2]
    docker_jobs.lab.run(
        "docker run -d --name bystander --network none debian:trixie-slim sleep 900", host=second, check=True
    )
    other = docker_jobs.write(head("sleep", "16"), worker("w"))
    killed = docker_jobs.write(head("sleep", "1000"), worker("w"))
    started = "until pgrep -fx 'sleep 16' >/dev/null || ! kill -0 $other; do sleep 0.1; done"
    script = (
        f"dgrid {other} -q & other=$!; {started}; {START.format(options=killed, extra='')}; kill -KILL $!; wait $other"
    )
    try:
        done = docker_jobs.lab.run(script, host=first, timeout=120)
        assert done.returncode == 0, done.stderr
        docker_jobs.wait_gone(30)
        assert docker_jobs.lab.engine(second).containers() == ["bystander"]
    finally:
        docker_jobs.lab.run("docker rm -f bystander", host=second)


KILLED_AT = (
    "dgrid {options} --oversubscribe >/dev/null 2>&1 & "
    "while kill -0 $! && [ $(docker ps -q{all} --filter label=io.dgrid.session | wc -l) -lt {count} ]; do :; done; "
    "kill -KILL $!; wait $!"
)


def killed_at(jobs: Jobs, count: int, is_running: bool, **keys: str) -> int:
    """Kills a run of 31 containers when so many are there, or run, on the first of the nodes; its exit code."""
    options = jobs.write(head("true"), *(worker(f"w{number}") for number in range(30)), **keys)
    script = KILLED_AT.format(options=options, all="" if is_running else "a", count=count)
    return jobs.lab.run(script, host=jobs.lab.nodes[0]).returncode


@pytest.mark.parametrize("count", [1, 2, 4])
def test_killed_while_creating(docker_jobs: Jobs, count: int) -> None:
    """Creates that were under way when dgrid was killed leave nothing either."""
    assert killed_at(docker_jobs, count, is_running=False) == KILLED
    docker_jobs.wait_gone(40)


@pytest.mark.parametrize("count", [1, 4])
def test_killed_while_starting(docker_jobs: Jobs, count: int) -> None:
    """Nor do starts. Without an overlay network: of those, Docker may keep one in use (docs/reliability.md)."""
    assert killed_at(docker_jobs, count, is_running=True, network="host") == KILLED
    docker_jobs.wait_gone(40)
