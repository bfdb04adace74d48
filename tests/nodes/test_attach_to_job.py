"""Attaching containers to a PBS or Torque job: which commands run on a node, and what is said when they fail."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dgrid.errors import EngineNotFound, LinkError
from dgrid.nodes.attach_to_job import Job, attach_containers
from dgrid.nodes.link import CommandResult
from dgrid.nodes.link_local import LocalLink
from dgrid.nodes.machine import Machine
from dgrid.plan.allocation import Node


class FakeEngine:
    """Containers by their process ids; 0 has ended, None is gone."""

    def __init__(self, **pids):
        self.pids = pids

    def state(self, container_id):
        if self.pids[container_id] is None:
            raise EngineNotFound("node1", "no such container")
        return SimpleNamespace(pid=self.pids[container_id])


class FakeLink:
    """Keeps the scripts it is to run, and answers as it is told to."""

    node = "node1"

    def __init__(self, answer=None):
        self.scripts = []
        self.answer = answer or CommandResult(0, "")

    def run(self, script, timeout_s):
        self.scripts.append(script)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def machine(link, attachers=(("pbs_attach", "/opt/pbs/bin/pbs_attach"),), **pids):
    return Machine((Node("node1", 2),), link, FakeEngine(**pids), None, (), attachers)


def test_one_script_for_all_containers_of_a_node():
    """Each process once; those that have ended meanwhile are left out."""
    link = FakeLink()
    attach_containers(machine(link, a=11, b=0, c=None, d=14), "abcd", Job("PBS", "38[2].head"))
    (script,) = link.scripts
    assert script.splitlines()[:2] == [
        "/opt/pbs/bin/pbs_attach -j '38[2].head' -p 11 </dev/null || failed=1",
        "/opt/pbs/bin/pbs_attach -j '38[2].head' -p 14 </dev/null || failed=1",
    ]


@pytest.mark.parametrize(
    ("job", "attachers"),
    [
        (Job(), (("pbs_attach", "/x"),)),
        (Job("Slurm", "7"), (("pbs_attach", "/x"),)),
        (Job("PBS", "7"), ()),
        (Job("PBS", "7"), (("pbs_track", "/x"),)),
        (Job("Torque", "7"), (("pbs_attach", "/x"),)),
        (Job("PBS", None), (("pbs_attach", "/x"),)),
    ],
)
def test_nothing_is_run_without_a_command_for_it(job, attachers):
    """Outside a job, in another system's, on a node without the command."""
    link = FakeLink()
    attach_containers(machine(link, attachers, a=11), "a", job)
    assert link.scripts == []
    assert job.untold() == ()


def test_a_failure_is_told_once(tmp_path):
    """The command's last word; the other containers are attached all the same. Run by a real shell."""
    fake, calls = tmp_path / "pbs_track", tmp_path / "calls"
    fake.write_text(f'#!/bin/sh\necho "$@" >>{calls}\n[ "$4" != 11 ] || {{ echo "not your process" >&2; exit 1; }}\n')
    fake.chmod(0o755)
    job = Job("Torque", "0.head")
    target = machine(LocalLink("node1"), (("pbs_track", str(fake)),), a=11, b=12)
    attach_containers(target, "ab", job)
    attach_containers(target, "ab", job)
    assert calls.read_text() == "-j 0.head -a 11\n-j 0.head -a 12\n" * 2
    assert job.untold() == ("node1: not all containers there are attached to the job: not your process",)
    assert job.untold() == ()


def test_a_node_out_of_reach_is_no_error():
    """It is others that tell of it."""
    job = Job("PBS", "0.head")
    attach_containers(machine(FakeLink(LinkError("node1", "a check did not end within 10 s")), a=11), "a", job)
    assert job.untold() == ("node1: not all containers there are attached to the job: a check did not end within 10 s",)
