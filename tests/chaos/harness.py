"""Many trials, several at a time on nodes of their own, in one lab."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from agents import Agent, agents_of
from checker import Verdict
from lanes import Lane, put_bystanders
from trial import Blow, Kind, Trial, Victim

from dgrid.lab.find import find_lab
from dgrid.lab.machine import DEFAULT_ENGINE, machine_at

Say = Callable[[str], None]

# With it the containers of bystanders live on when the harness kills their engine.
_LIVE_RESTORE = """mkdir -p /etc/docker; echo '{"live-restore": true}' > /etc/docker/daemon.json; pkill -HUP -x dockerd
until docker info --format '{{.LiveRestoreEnabled}}' | grep -q true; do sleep 0.1; done"""


@dataclass(frozen=True)
class Grid:
    """The lanes of a lab, ready for trials; ``base_s`` is how long a run takes here whose head ends at once."""

    lanes: tuple[Lane, ...]
    base_s: float


@contextmanager
def open_grid(lab: str, most_lanes: int, say: Say) -> Iterator[Grid]:
    """Within it each pair of the lab's nodes is a lane with its bystanders."""
    machine = machine_at(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE)
    nodes = find_lab(machine, lab).shape.nodes[: 2 * most_lanes]
    agents = agents_of(machine, lab, nodes)
    lanes = tuple(Lane(agents[one], agents[two]) for one, two in zip(nodes[::2], nodes[1::2], strict=False))
    try:
        for_each(list(agents.values()), lambda agent: agent.ask("shell", script=_LIVE_RESTORE))
        for_each(lanes, lambda lane: put_bystanders(lane, say))
        yield Grid(lanes, _measure(lanes[0]))
    finally:
        for agent in agents.values():
            agent.close()


def run_all(
    grid: Grid,
    trials: Iterable[Callable[[Lane], Verdict]],
    say: Say,
    told: Callable[[Verdict], None],
    is_enough: Callable[[], bool] = lambda: False,
) -> None:
    """Conduct trials on all lanes, no more once it ``is_enough``; ``told`` hears each verdict as it comes."""
    waiting, lock = iter(trials), threading.Lock()

    def work(lane: Lane) -> None:
        while True:
            with lock:
                trial = next(waiting, None)
            if trial is None or is_enough():
                return
            verdict = trial(lane)
            with lock:
                told(verdict)
            if verdict.leaked or verdict.harmed or verdict.ended:
                mend(lane, say)

    for_each(grid.lanes, work)


def mend(lane: Lane, say: Say) -> None:
    """Make a lane as it was before a trial that left or harmed something."""
    lane.both("clean")
    if any(one["left"] or one["missing"] for one in lane.both("differences")):
        put_bystanders(lane, say)


def for_each(items: Sequence[Lane] | Sequence[Agent], do: Callable[..., None]) -> None:
    """Do it for all at once; the first failure is raised when all are done."""
    with ThreadPoolExecutor(len(items)) as pool:
        for future in [pool.submit(do, item) for item in items]:
            future.result()


def _measure(lane: Lane) -> float:
    lengths = []
    for number in itertools.islice(itertools.count(), 3):
        trial = Trial(0, number, Blow(Victim.LAUNCHER, "KILL", Kind.LOUD), 0, None, 0, 2, 2, 0.0, 0, False, "paramiko")
        began = lane.start_trial(trial)["at"]
        end = lane.head.ask("ended", run=trial.name, timeout_s=60)
        if end["code"] != 0:
            raise RuntimeError(f"an undisturbed run fails: {end['stderr']}")
        lane.head.ask("forget", run=trial.name)
        lengths.append(end["at"] - began)
    return min(lengths)
