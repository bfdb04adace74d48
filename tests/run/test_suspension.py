"""Signals of batch systems: for the head, and those that suspend a run and let it go on."""

from __future__ import annotations

import time

import pytest
from faults import (
    COUNTING,
    SHORT,
    SHORT_S,
    as_root,
    counting,
    has_no_gap,
    has_sleepers,
    leashes,
    sleepers,
    wait_until,
    watched,
)
from jobs import LISTENER, Jobs, head, shell, worker

pytestmark = pytest.mark.lab

SCRIPT = """#!/bin/bash
#PBS -l nodes=2
#PBS -l walltime=00:05:00
export XDG_CONFIG_HOME={settings}
exec dgrid --hostfile=$PBS_NODEFILE --dockdef={definition}
"""


def states(jobs: Jobs) -> set[str]:
    """How the workers are on all nodes: "running", "paused" by their engine, "stopped" by signals."""
    if jobs.engine == "podman":
        script = "ps axo stat=,args= | grep -E '^[A-Z][^ ]* +sleep 1234$' || true"
        found = {line[0] for node in jobs.lab.nodes for line in as_root(jobs.lab, node, script).splitlines()}
        return {"stopped" if letter == "T" else "running" for letter in found}
    ids = "docker ps -aqf label=io.dgrid.session"
    inspect = f"{ids} | xargs -r docker inspect -f '{{{{.State.Status}}}}'"
    return {state for node in jobs.lab.nodes for state in as_root(jobs.lab, node, inspect).split()}


def test_usr1_and_usr2_are_for_the_head(docker_jobs: Jobs) -> None:
    """They reach the head; before it runs they are kept for it, and dgrid does not end of them."""
    says = "trap 'echo one' USR1; trap 'echo two; exit 5' USR2; echo up; while :; do sleep 0.1; done"
    with watched(docker_jobs, head(*shell(says)), sleepers(1), network="host") as run:
        run.said("checking 2 nodes")
        run.signal("USR1")
        run.printed("up")
        time.sleep(0.5)
        run.signal("USR1")
        run.printed("one", 5)
        run.signal("USR2")
        ended = run.end(20)
    assert ended.code == 5
    assert ended.text.split()[-1] == "two"
    assert docker_jobs.left() == []


def test_a_run_is_suspended_and_goes_on(jobs: Jobs) -> None:
    """TSTP holds the containers on all nodes and dgrid; so does STOP, of which dgrid cannot hear, and that for longer
    than the lease. CONT lets all go on, and nothing is missing. Where an engine cannot pause, processes are stopped."""
    held = {"docker": "paused", "podman": "stopped"}[jobs.engine]
    with watched(jobs, counting(), sleepers(2), settings=SHORT, network="host") as run:
        for name, within_s, held_s in (("TSTP", 5, 1), ("STOP", 8, SHORT_S + 2)):
            run.printed("1")
            run.signal(name)
            wait_until(lambda: states(jobs) == {held}, within_s)
            before = len(run.out.lines)
            time.sleep(held_s)
            assert states(jobs) == {held}
            assert len(run.out.lines) < before + 5
            run.signal("CONT")
            wait_until(lambda: states(jobs) == {"running"}, 8)
            assert run.goes_on()
        run.signal("TERM")
        ended = run.end(20)
    assert ended.code == 143
    assert has_no_gap(ended)
    assert "lost" not in ended.err
    assert jobs.left() == []


def test_suspended_while_workers_get_ready(docker_jobs: Jobs) -> None:
    """What was paused then goes on as well, gets ready, and the head starts."""
    slow = "for ((i = 0; i < 40; i++)); do sleep 0.1; done"
    listener = worker("w", *shell(slow)[:2], f"{shell(slow)[2]}; {LISTENER[2]}", ready={"tcp": 5000}, stop_grace_s=0)
    with watched(docker_jobs, head("echo", "up"), listener, network="host") as run:
        wait_until(lambda: "running" in states(docker_jobs), 30)
        run.signal("STOP")
        wait_until(lambda: "paused" in states(docker_jobs), 8)
        run.signal("CONT")
        ended = run.end(30)
    assert (ended.code, ended.text) == (0, "up\n")
    assert docker_jobs.left() == []


def test_killed_while_it_is_suspended(docker_jobs: Jobs) -> None:
    """Nothing is left, paused containers included."""
    with watched(docker_jobs, counting(), sleepers(), network="host") as run:
        run.printed("1")
        run.signal("STOP")
        wait_until(lambda: states(docker_jobs) == {"paused"}, 8)
        run.signal("KILL")
        docker_jobs.wait_gone(10)


def test_a_batch_system_suspends_and_ends_jobs(docker_jobs: Jobs) -> None:
    """scontrol suspend and resume pause and continue a job's containers on all of its nodes; when its time is up, they
    are gone before the batch system's patience is over, and the head was told. The end of the ssh connection to the
    first node, by which the leash there was out of the batch system's reach, changes nothing of that."""
    lab = docker_jobs.lab
    lab.wait_idle()
    says = COUNTING[2].replace("trap 'exit 3' USR2", "trap 'echo told; exit' TERM")
    arguments = docker_jobs.write(head("bash", "-c", says, stop_grace_s=3), sleepers(1), nodes=lab.nodes[:2])
    definition = arguments.split("--dockdef=")[1]
    settings = definition.removesuffix("/job.json")
    lab.write(f"{settings}/dgrid/config.toml", f"[nodes]\n{SHORT}\n")
    job = lab.qsub(SCRIPT.format(definition=definition, settings=settings))
    try:
        wait_until(lambda: states(docker_jobs) == {"running"} and has_sleepers(lab, "node2"), 30)
        before = leashes(lab, "node1")
        as_root(lab, "node1", f"kill -KILL $(ps -o ppid= {before[0]})")
        wait_until(lambda: len(set(leashes(lab, "node1")) - set(before)) == len(before), 8)
        as_root(lab, "front", f"scontrol suspend {job}")
        wait_until(lambda: states(docker_jobs) == {"paused"}, 8)
        time.sleep(SHORT_S + 2)
        assert states(docker_jobs) == {"paused"}
        as_root(lab, "front", f"scontrol resume {job}")
        wait_until(lambda: states(docker_jobs) == {"running"}, 5)
        as_root(lab, "front", f"scontrol update JobId={job} EndTime=now+1")
        ended = lab.wait_job(job, 90)
    finally:
        as_root(lab, "front", f"scancel {job} || true")
    assert ended.state == "TIMEOUT"
    docker_jobs.wait_gone(5)
    *numbers, told = lab.text(f"cat {lab.submitted_from(job)}/*.o{job}").split()
    assert told == "told"
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
