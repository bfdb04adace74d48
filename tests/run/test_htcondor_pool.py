"""The example examples/pbs/htcondor-pool: a pool of HTCondor in the containers of a job."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from cluster import KEPT, Cluster
from jobs import Ended, Jobs

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/pbs/htcondor-pool"
SQUARES = f"the sum of all squares: {sum(number * number for number in range(20))}"
EXECUTORS = ["executor-1", "executor-2", "executor-3"]


@pytest.fixture(scope="module")
def pool(docker_lab: Cluster) -> str:
    """The example in the lab user's home, and its image on all nodes; the directory."""
    image = f"localhost/{docker_lab.text(['id', '-un'])}/dgrid.htcondor"
    build = ["docker", "build", *KEPT, "--network", "host", "--tag", image, str(ROOT / "docker_images/htcondor")]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    docker_lab.load(image)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(EXAMPLE, "htcondor-pool")
    docker_lab.run(["tar", "x", "--no-same-owner"], input=buffer.getvalue(), check=True)
    return docker_lab.text("echo ~/htcondor-pool")


def by_executor(text: str) -> dict[str, int]:
    """How many jobs each executor ran, as the head tells."""
    return {name: int(number) for number, name in re.findall(r"^ *(\d+) slot1@(\S+)$", text, re.MULTILINE)}


def test_twenty_jobs_over_three_executors(docker_jobs: Jobs, pool: str) -> None:
    """`qsub example.pbs`: 20 jobs finish on three executors, as the submitting user; exit code 0, nothing is left."""
    lab = docker_jobs.lab
    job = lab.text(f"cd {pool} && rm -f *.o* && qsub example.pbs")
    end = lab.wait_job(job, timeout=180)
    text = lab.text(f"cat {pool}/*.o{job}")
    assert (end.state, end.exit_code) == ("COMPLETED", 0), text
    assert sorted(by_executor(text)) == EXECUTORS
    assert sum(by_executor(text).values()) == 20
    assert SQUARES in text
    lines = lab.text(f"cat {pool}/results/*.out").splitlines()
    assert {line.split()[2] for line in lines} == {lab.text(["id", "-un"])}
    assert lab.text(f"stat -c %U {pool}/results/*.out | sort -u") == lab.text(["id", "-un"])
    assert docker_jobs.left() == []


def run_pool(jobs: Jobs, pool: str, script: str, options: str, *, executors: int = 3, **keys: Any) -> Ended:
    """The example's definition with another script, run by hand on the first node."""
    definition = json.loads((EXAMPLE / "htcondor-pool.json").read_text()) | keys
    definition["containers"][0]["run_cmd"] = ["run-in-pool", "bash", "-c", script]
    definition["containers"][1]["scale"] = executors
    jobs.lab.write(f"{pool}/other.json", json.dumps(definition))
    return jobs.dgrid(f"--dockdef=other.json {options}", before=f"cd {pool} && exec")


def test_nodes_own_network(docker_jobs: Jobs, pool: str) -> None:
    """Head and executors may share a node in the nodes' own network; daemons are the user's, none is root's."""
    docker_jobs.lab.write(f"{pool}/nodes", "node1\nnode1\nnode2\nnode2\n")
    daemons = "grep -l '^condor_' /proc/[0-9]*/comm | xargs stat -c 'daemon of %U'"
    script = f"./jobs.sh; code=$$?; {daemons}; exit $$code"
    ended = run_pool(docker_jobs, pool, script, "--hostfile=nodes", network="host")
    assert ended.code == 0, ended.err
    assert sorted(by_executor(ended.text)) == EXECUTORS
    assert set(re.findall(r"^daemon of (.*)$", ended.text, re.MULTILINE)) == {docker_jobs.lab.text(["id", "-un"])}


def test_a_job_that_fails_fails_the_head(docker_jobs: Jobs, pool: str) -> None:
    """jobs.sh ends with 1 and names the jobs that did not end with 0; so does dgrid."""
    spoil = "cp square.sh whole.sh; sed -i '2i [ $$1 != 7 ] || exit 3; exit 0' square.sh"
    script = f"{spoil}; ./jobs.sh; code=$$?; mv whole.sh square.sh; exit $$code"
    ended = run_pool(docker_jobs, pool, script, "--local 2", executors=1)
    assert ended.code == 1
    assert "these jobs failed: 7" in ended.err.splitlines()


def test_a_port_that_is_taken(docker_jobs: Jobs, pool: str) -> None:
    """Where another collector has the port, the head says so, and what to do."""
    docker_jobs.lab.write(f"{pool}/nodes", "node1\nnode2\n")
    socket = "IO::Socket::INET->new(LocalPort => 9618, Listen => 5, ReuseAddr => 1)"
    listen = f"setsid perl -MIO::Socket::INET -e '$s = {socket} or die; sleep 120' > /dev/null 2>&1 < /dev/null &"
    lab = docker_jobs.lab
    lab.run(f"{listen} until nc -z 127.0.0.1 9618; do sleep 0.2; done", host=lab.nodes[0], check=True)
    try:
        ended = run_pool(docker_jobs, pool, "true", "--hostfile=nodes", executors=1, network="host")
    finally:
        lab.run(["pkill", "-f", "LocalPort => 9618"], host=lab.nodes[0])
    assert ended.code == 1
    assert "run-in-pool: port 9618 is taken on node1: give head and executors another one, as POOL_PORT" in ended.err
