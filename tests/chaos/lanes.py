"""A lane: two nodes of the lab on which one trial runs at a time, beside bystanders that are to stay untouched."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import Any

from agents import Agent
from trial import Trial

IMAGE = "debian:trixie-slim"
JOB = "77.chaos"
"""The batch job of all trials, and of one bystander: it is their session that tells them apart."""


@dataclass(frozen=True)
class Program:
    """The dgrid that is tried: the lab's own, or a copy of its source with something switched off."""

    argv: tuple[str, ...] = ("/usr/local/bin/dgrid",)
    name: str = "dgrid"


@dataclass
class Lane:
    """``head`` is the node that dgrid runs on; ``other`` has workers, where a trial has two nodes."""

    head: Agent
    other: Agent
    program: Program = field(default_factory=Program)

    @property
    def agents(self) -> tuple[Agent, Agent]:
        return self.head, self.other

    @property
    def name(self) -> str:
        return f"{self.head.node}+{self.other.node}"

    def both(self, do: str, **arguments: Any) -> tuple[Any, Any]:
        """Ask both nodes at once."""
        orders = [agent.order(do, **arguments) for agent in self.agents]
        wait(orders, 180)
        first, second = (order.result(0) for order in orders)
        return first, second

    def start(self, run: str, definition: dict[str, Any], nodes: int, user: str = "alice", **extra: str) -> Any:
        """Start dgrid with a definition on the head's node; its process number and the time. ``extra``: environment."""
        directory = f"/tmp/chaos/{run}"
        options = extra.pop("options", "").split()
        lines = "".join(f"{agent.node}\n" * 4 for agent in self.agents[:nodes])
        self.head.ask("write", path=f"{directory}/job.json", text=json.dumps(definition))
        self.head.ask("write", path=f"{directory}/nodes", text=lines)
        argv = [*self.program.argv, f"--hostfile={directory}/nodes", f"--dockdef={directory}/job.json", *options]
        return self.head.ask("start", run=run, argv=argv, user=user, environment=extra, directory="/")

    def start_trial(self, trial: Trial) -> Any:
        """Start a trial's run."""
        return self.start(
            trial.name, definition_of(trial), trial.nodes,
            PBS_JOBID=JOB, CHAOS_TRIAL=trial.name, options=f"--link {trial.link}",
        )  # fmt: skip


def definition_of(trial: Trial) -> dict[str, Any]:
    """What the run is to start; every container has the trial's canary in its environment."""
    canary = {"CHAOS_TRIAL": trial.name}
    head_command = ["bash", "-c", f"sleep {trial.head_s}; exit {trial.exit_code}"]
    common = {"image": IMAGE, "stop_grace_s": 0, "environment_variables": canary}
    worker = {"name": "w", "run_cmd": ["sh", "-c", "sleep 3000 & exec sleep 3001"], "scale": trial.workers, **common}
    head = {"name": "head", "interactive": True, "run_cmd": head_command, **common}
    return {"containers": [head, worker]}


_STANDING = textwrap.dedent(r"""
    set -e
    run() { docker run -d --network none "$@" debian:trixie-slim sleep 86400 >/dev/null; }
    run --name plain
    run --name spelled --label io.dgrid.sessionx=0123456789ab
    run --name foreign --label io.dgrid.session.id=0123456789ab --label session=0123456789ab
    run --name empty --label io.dgrid.session=
    run --name with-volume --volume keep:/keep
    docker create --name never-started --label io.dgrid.lab=1 debian:trixie-slim true >/dev/null
    docker network create plain >/dev/null
    docker network create --label io.dgrid.sessionx=0123456789ab spelled >/dev/null
    docker volume create plain >/dev/null
    docker volume create --label io.dgrid.sessionx=0123456789ab spelled >/dev/null
""")

_CLEARED = r"""
docker ps --all --quiet | xargs -r docker rm --force --volumes >/dev/null
docker network ls --quiet --filter type=custom | xargs -r docker network rm >/dev/null
docker volume ls --quiet | xargs -r docker volume rm --force >/dev/null
rm -rf /tmp/dgrid-*; mkdir -p /tmp/chaos; chmod 755 /tmp/chaos
"""

# Who runs it, and in which job: another user, the same user's other job, another session of the trials' own job.
_RUNS = {"bob": ("bob", "12.chaos"), "job": ("alice", "78.chaos"), "session": ("alice", JOB)}


def put_bystanders(lane: Lane, say: Callable[[str], None]) -> None:
    """Start all bystanders of a lane anew, on nodes without any container, and remember the nodes as they are then."""
    for run in _RUNS:
        lane.head.ask("forget", run=f"bystander-{run}")
    lane.both("shell", script=_CLEARED)
    lane.both("shell", script=_STANDING)
    lane.both("remember_steady")
    own, lane.program = lane.program, Program()
    for run, (user, job) in _RUNS.items():
        definition = {
            "containers": [
                {"name": "head", "interactive": True, "image": IMAGE, "run_cmd": ["sleep", "86400"], "stop_grace_s": 0},
                {"name": "w", "image": IMAGE, "run_cmd": ["sleep", "86401"], "stop_grace_s": 0},
            ]
        }
        lane.start(f"bystander-{run}", definition, 2, user=user, PBS_JOBID=job)
    for run in _RUNS:
        if not lane.head.ask("await_moment", run=f"bystander-{run}", line="head runs on", after_s=0.5):
            raise RuntimeError(f"bystander {run}: {lane.head.ask('ended', run=f'bystander-{run}', timeout_s=0)}")
    lane.program = own
    say(f"{lane.name}: {sum(lane.both('remember'))} things there before the trials")
