"""The quickstart's head and workers with plain docker commands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from by_hand import ROOT, Hand, docker

QUICKSTART = ROOT / "examples/pbs/quickstart"
IMAGE = "localhost/dgridtest/dgrid.quickstart"


@pytest.fixture(scope="session")
def image(base: None) -> str:
    """The image, built with the network switched off: it needs nothing but its base."""
    docker("build", "--force-rm", "--network", "none", "--tag", IMAGE, QUICKSTART)
    return IMAGE


def start_worker(hand: Hand, image: str, index: int) -> str:
    name = f"worker-{index}"
    who = ("--env", f"DGRID_NAME={name}", "--env", f"DGRID_NODE=node{index + 1}")
    return hand.run(name, image, "perl", "/worker.pl", options=who)


def run_head(hand: Hand, image: str, hostfile: Path, content: object) -> subprocess.CompletedProcess[str]:
    hostfile.write_text(json.dumps(content) + "\n")
    options = ("--env", "DGRID_HOSTFILE=/h/hostfile.json", "--volume", f"{hostfile}:/h/hostfile.json:ro")
    return hand.call(image, "perl", "/head.pl", options=options)


def wait_until_ready(hand: Hand, image: str, worker: str) -> None:
    """Connects and hangs up at once until it is let in, as dgrid's own check does."""
    knock = f"for i in $(seq 50); do (exec 3<>/dev/tcp/{worker}/7000) 2>/dev/null && exit 0; sleep 0.1; done; exit 1"
    assert hand.call(image, "bash", "-c", knock).returncode == 0


def test_each_worker_says_hello(hand: Hand, image: str, tmp_path: Path) -> None:
    """The head prints the hostfile and one line a worker, in the hostfile's order, and ends with 0."""
    workers = [start_worker(hand, image, index) for index in (1, 2)]
    for worker in workers:
        wait_until_ready(hand, image, worker)
    done = run_head(hand, image, tmp_path / "hostfile.json", {"workers": workers})
    assert done.stdout.splitlines() == [
        'The hostfile: {"workers": ["worker-1", "worker-2"]}',
        "Hello from worker-1 on node2",
        "Hello from worker-2 on node3",
    ]
    assert done.returncode == 0


def test_a_worker_that_is_not_there_fails_the_head(hand: Hand, image: str, tmp_path: Path) -> None:
    """A host that nobody answers on is named, and the head does not end with 0."""
    done = run_head(hand, image, tmp_path / "hostfile.json", {"workers": ["nobody"]})
    assert done.returncode not in (0, 125, 126, 127)
    assert "head: cannot reach the worker on nobody" in done.stderr


def test_a_hostfile_without_workers_fails_the_head(hand: Hand, image: str, tmp_path: Path) -> None:
    """Without the tag the head says that there are no workers, and does not end with 0."""
    done = run_head(hand, image, tmp_path / "hostfile.json", {})
    assert done.returncode not in (0, 125, 126, 127)
    assert "head: the hostfile has no workers" in done.stderr
