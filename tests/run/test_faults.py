"""Nodes that are cut off, frozen or lose their processes: said by name, dealt with by policy, and nothing is left."""

from __future__ import annotations

import time

import pytest
from faults import (
    SHORT,
    SHORT_S,
    as_root,
    counting,
    frozen,
    has_no_gap,
    has_sleepers,
    leashes,
    partitioned,
    sleepers,
    wait_until,
    watched,
)  # fmt: skip
from jobs import Jobs

pytestmark = pytest.mark.lab

LEASE_S = 15
"""By default."""


def test_a_node_that_is_cut_off_ends_the_run(docker_jobs: Jobs) -> None:
    """With the default settings: named within the lease and 5 s, with what is lost; its containers are gone within the
    lease and 10 s though nobody can reach them, and nothing of it comes back with the node."""
    lab = docker_jobs.lab
    with watched(docker_jobs, counting(), sleepers()) as run:
        run.printed("1")
        with partitioned(lab, "node3") as cut_at:
            run.said("node3: out of reach (no sign of life for", LEASE_S + 5, since=cut_at)
            wait_until(lambda: not has_sleepers(lab, "node3"), LEASE_S + 10, since=cut_at)
            ended = run.end()
            assert lab.engine("node3").containers() == []
        assert ended.code == 125
        assert f"node3: no sign of life for {LEASE_S} s" in ended.err
        assert "lost with it: w-2" in ended.err
        time.sleep(2)
        docker_jobs.wait_gone(10)


def test_a_run_goes_on_without_the_nodes_of_workers_that_say_report(docker_jobs: Jobs) -> None:
    """A drop shorter than the lease has no effect. A node whose sshd is killed is lost at once, one that is cut off or
    frozen after the lease, each by name; the head counts on without a gap, and nothing is left on any of them."""
    lab = docker_jobs.lab
    with watched(docker_jobs, counting(), sleepers(failure_policy="report"), settings=SHORT, network="host") as run:
        run.printed("1")
        with partitioned(lab, "node2", "node3"):
            time.sleep(SHORT_S / 2 - 1)
        assert run.goes_on()
        assert has_sleepers(lab, "node2")
        assert "lost" not in run.heard()
        begin = time.monotonic()
        as_root(lab, "node2", f"kill -KILL $(ps -o ppid= {leashes(lab, 'node2')[0]})")
        run.said("node2: ", 5, since=begin)
        run.said("lost with it: w-1; the run goes on", 5, since=begin)
        with partitioned(lab, "node3") as cut_at, frozen(lab, "node4"):
            run.said(f"node3: no sign of life for {SHORT_S} s", SHORT_S + 5, since=cut_at)
            run.said("lost with it: w-2; the run goes on", SHORT_S + 6, since=cut_at)
            run.said("lost with it: w-3; the run goes on", SHORT_S + 6, since=cut_at)
            wait_until(lambda: not has_sleepers(lab, "node3"), SHORT_S + 10, since=cut_at)
            assert run.goes_on()
            run.signal_head("USR1")
            ended = run.end(20)
        assert ended.code == 0
        assert has_no_gap(ended)
        docker_jobs.wait_gone(SHORT_S + 10)


def test_leashes_that_are_killed_stopped_or_ended(docker_jobs: Jobs) -> None:
    """Killed, as a whole or in part, they are started again and the run goes on. One that is sent TERM removes what is
    on its node; one that is stopped is as good as lost. Either is dealt with by policy."""
    lab = docker_jobs.lab
    with watched(docker_jobs, counting(), sleepers(failure_policy="report"), settings=SHORT, network="host") as run:
        run.printed("1")
        before = {node: leashes(lab, node) for node in lab.nodes}
        as_root(lab, "node1", f"kill -KILL {before['node1'][0]}")
        as_root(lab, "node2", f"kill -KILL {' '.join(map(str, before['node2']))}")
        as_root(lab, "node3", f"kill -KILL {before['node3'][0]}")
        killed_at = time.monotonic()
        for node in lab.nodes[:3]:
            wait_until(lambda node=node: _is_new(leashes(lab, node), before[node]), 5, since=killed_at)  # type: ignore[misc]
        time.sleep(SHORT_S + 1)
        assert all(has_sleepers(lab, node) for node in ("node2", "node3", "node4"))
        assert "lost" not in run.heard()
        as_root(lab, "node4", f"kill -TERM {leashes(lab, 'node4')[0]}")
        run.said("lost with it: w-3; the run goes on", 5)
        wait_until(lambda: not has_sleepers(lab, "node4"), 10)
        stopped = " ".join(map(str, leashes(lab, "node3")))
        as_root(lab, "node3", f"kill -STOP {stopped}")
        try:
            run.said("lost with it: w-2; the run goes on", SHORT_S + 5)
            run.signal_head("USR2")
            ended = run.end(20)
        finally:
            as_root(lab, "node3", f"kill -CONT {stopped} || true")
        assert ended.code == 3
        assert has_no_gap(ended)
        docker_jobs.wait_gone(SHORT_S + 10)


def _is_new(now: list[int], before: list[int]) -> bool:
    return len(now) >= 3 and not set(now) & set(before)
