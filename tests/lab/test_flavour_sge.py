"""A lab with Grid Engine: qsub, qdel, qrsh and limits of its own."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest
from cluster import Cluster, dgrid
from flavours import (
    a_definition,
    check_delete,
    check_exit_code,
    check_limit,
    check_mail_relays,
    check_quickstart,
    flavour_lab,
    left,
    new_directory,
    wait_for_containers,
    wait_gone,
)

pytestmark = pytest.mark.lab


class GridEngine:
    """qsub, qdel, qstat and qacct."""

    batch = examples = "sge"

    def submit(self, lab: Cluster, directory: str, command: str, limit_s: int | None = None, options: str = "") -> str:
        lab.write(f"{directory}/job.sh", f"#!/bin/bash\n{command}\n")
        limit = f"-l h_rt={limit_s}" if limit_s else ""
        return lab.text(f"cd {directory} && qsub -terse -cwd -j y -pe nodes 3 {limit} {options} job.sh")

    def submit_example(self, lab: Cluster, directory: str, name: str) -> str:
        return lab.text(f"cd {directory} && qsub -terse {name}")

    def wait(self, lab: Cluster, job: str, timeout_s: float) -> int | None:
        end = time.monotonic() + timeout_s
        while not (kept := self._kept(lab, job)):
            assert time.monotonic() < end, f"job {job} has not ended after {timeout_s} s: {lab.text('qstat')}"
            time.sleep(0.5)
        return int(kept["exit_status"].split()[0]) or int(kept["failed"].split()[0])

    def delete(self, lab: Cluster, job: str) -> None:
        lab.text(["qdel", job])

    def output(self, lab: Cluster, directory: str, job: str) -> str:
        return lab.text(f"cat {directory}/*.o{job}")

    def _kept(self, lab: Cluster, job: str) -> dict[str, str]:
        """The job's accounting record, once it is no more; it comes after those of its tasks."""
        done = lab.run(f"! qstat -j {job} > /dev/null 2>&1 && qacct -j {job}")
        last = done.stdout.decode().split("=" * 62)[-1]
        return dict(re.findall(r"^(\w+) +(.*?) *$", last, re.M)) if done.returncode == 0 else {}


@pytest.fixture(scope="module")
def lab() -> Iterator[Cluster]:
    """Three nodes with Grid Engine."""
    yield from flavour_lab("sge")


def test_all_nodes_are_ok(lab: Cluster) -> None:
    """Status has a word for each node."""
    rows = json.loads(dgrid("lab", "status", "--name", lab.name, "--json").stdout)
    assert [row["batch"] for row in rows] == [None, "ok", "ok", "ok"]


def test_quickstart(lab: Cluster) -> None:
    """`qsub quickstart.sge` prints the workers' hellos and leaves nothing."""
    check_quickstart(lab, GridEngine(), "quickstart.sge")


@pytest.mark.labs
def test_mail_relays(lab: Cluster) -> None:
    """`qsub mail-relays.sge` counts right, with four containers on three nodes."""
    check_mail_relays(lab, GridEngine(), "mail-relays.sge")


def test_exit_code(lab: Cluster) -> None:
    """The job ends with the head's exit code."""
    check_exit_code(lab, GridEngine())


def test_qdel_leaves_nothing(lab: Cluster) -> None:
    """All of the job's processes on the first node get KILL at once, without a warning."""
    check_delete(lab, GridEngine(), within_s=30)


@pytest.mark.labs
def test_time_limit_leaves_nothing(lab: Cluster) -> None:
    """So do they at the time limit."""
    check_limit(lab, GridEngine(), 12, within_s=30)


@pytest.mark.labs
def test_qrsh_reaches_the_jobs_nodes(lab: Cluster) -> None:
    """The parallel environment lets the job's script start tasks on its other nodes."""
    directory = new_directory(lab)
    job = GridEngine().submit(
        lab, directory, 'for h in $(cut -d" " -f1 $PE_HOSTFILE); do qrsh -inherit -nostdin $h hostname; done'
    )
    assert GridEngine().wait(lab, job, 60) == 0
    assert sorted(GridEngine().output(lab, directory, job).split()) == list(lab.nodes)


@pytest.mark.labs
def test_containers_outlive_other_jobs(lab: Cluster) -> None:
    """Grid Engine ends processes by a group, whose number is another job's on another node: containers lack it."""
    directory, run = a_definition(lab, "sleep 600")
    job = GridEngine().submit(lab, directory, run)
    wait_for_containers(lab, lambda: GridEngine().output(lab, directory, job))
    three = "for i in 1 2 3; do qsub -terse -b y -j y -o /dev/null -l h=$node sleep 600; done"
    run_and_end = f"{three}; until [ $(qstat -s r | grep -c sleep) = 3 ]; do sleep 0.5; done; qdel -u bob"
    for node in lab.nodes:
        lab.text(f"node={node}; {run_and_end}; while qstat | grep -q sleep; do sleep 0.5; done", user="bob")
    assert len([line for line in left(lab) if " Up " in line]) == 3
    GridEngine().delete(lab, job)
    wait_gone(lab, 30)


@pytest.mark.labs
def test_nodes_come_and_go(lab: Cluster) -> None:
    """A job has a task on a node that was added; one that was removed is known nowhere, and its job has gone."""
    try:
        added = dgrid("lab", "add", "--name", lab.name)
        assert added.returncode == 0, added.stderr
        tasks = 'for h in $(cut -d" " -f1 $PE_HOSTFILE); do qrsh -inherit -nostdin $h hostname; done'
        done = lab.run(f"qsub -sync y -cwd -j y -o added -pe nodes 4 <<< '{tasks}' && sort added")
        assert done.stdout.decode().split()[-4:] == ["node1", "node2", "node3", "node4"], done.stderr
        lab.text("qsub -terse -b y -l h=node4 sleep 600 && until qstat -s r | grep -q sleep; do sleep 0.5; done")
    finally:
        removed = dgrid("lab", "remove", "--name", lab.name, "node4")
    assert removed.returncode == 0, removed.stderr
    assert lab.text("qconf -sh; qconf -sel; qconf -ss").split().count("node4") == 0
    assert lab.text("qstat") == ""
