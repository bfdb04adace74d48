"""Hitting a trial's victim, and undoing what can be undone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agents import Agent
from lanes import Lane
from trial import Blow, Kind, Trial, Victim


@dataclass(frozen=True, slots=True)
class Struck:
    """When it was hit, by the machine's monotonic clock, and when that was undone; both None for a miss."""

    at: float | None
    undone_at: float | None = None


def strike(trial: Trial, lane: Lane, until_clear: Callable[[tuple[Agent, ...]], object]) -> Struck:
    """Hit the victim now; a silence lasts until ``until_clear`` returns for those nodes that can be looked at."""
    blow, target = trial.blow, lane.other if trial.on_other else lane.head
    if blow.for_s is None:
        return Struck(_signal(trial, lane, target, blow.signal))
    with _away(trial, lane, target) as at:
        if at is None:
            return Struck(None)
        if blow.kind is Kind.SILENT:
            until_clear(tuple(one for one in lane.agents if blow.victim is Victim.NETWORK or one is not target))
        killed = blow.then is not None and _kill_launcher(blow, trial, lane)
        if not (killed and blow.victim is Victim.LAUNCHER):
            time.sleep(max(0.0, at + blow.for_s - time.monotonic()))
    return Struck(at, time.monotonic())


def _kill_launcher(blow: Blow, trial: Trial, lane: Lane) -> bool:
    time.sleep(blow.then_s)
    return lane.head.ask("signal_run", run=trial.name, name=blow.then) is not None


def _signal(trial: Trial, lane: Lane, target: Agent, name: str) -> float | None:
    at: float | None
    if trial.blow.victim is Victim.LAUNCHER:
        at = lane.head.ask("signal_run", run=trial.name, name=name)
    else:
        at = target.ask("signal_leash", name=name, whole=trial.blow.whole, pick=trial.number)
    return at


@contextmanager
def _away(trial: Trial, lane: Lane, target: Agent) -> Iterator[float | None]:
    """Within it the victim is dead, stands still or cannot be heard."""
    match trial.blow.victim:
        case Victim.LAUNCHER | Victim.LEASH:
            yield _signal(trial, lane, target, "STOP")
            _signal(trial, lane, target, "CONT")
        case Victim.ENGINE:
            with engine_away(target, trial.blow.signal) as at:
                yield at
        case Victim.NODE:
            at = time.monotonic()
            target.pause()
            try:
                yield at
            finally:
                target.unpause()
        case Victim.NETWORK:
            with cut_off(lane, trial.name) as at:
                yield at


@contextmanager
def engine_away(target: Agent, name: str = "STOP") -> Iterator[float]:
    """Within it a node's engine stands still, or is dead with the signal KILL."""
    at = target.ask("signal_engine", name=name)
    try:
        yield at
    finally:
        if name == "KILL":
            target.ask("revive_engine")
        else:
            target.ask("signal_engine", name="CONT")


@contextmanager
def cut_off(lane: Lane, run: str) -> Iterator[float]:
    """Within it no packet of a run's connections goes between the nodes, and nobody is told."""
    rules = _rules(run, lane)
    lane.other.ask("shell", script="".join(f"iptables -I {rule}\n" for rule in rules))
    try:
        yield time.monotonic()
    finally:
        lane.other.ask("shell", script="".join(f"iptables -D {rule}\n" for rule in rules))


def _rules(run: str, lane: Lane) -> list[str]:
    """What drops the run's packets between the nodes without a word, and new connections, but no bystander's."""
    head, ports = lane.head.address, lane.head.ask("ssh_ports", run=run)
    rules = [f"INPUT -p tcp --syn -s {head} --dport 22 -j DROP"]
    for port in ports:
        rules += [f"INPUT -p tcp -s {head} --sport {port} -j DROP", f"OUTPUT -p tcp -d {head} --dport {port} -j DROP"]
    return rules
