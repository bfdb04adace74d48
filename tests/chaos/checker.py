"""One trial from its start to the verdict: what is left of it, when its last trace went, who was harmed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lanes import Lane
from trial import Kind, Trial, Victim
from victims import Struck, strike

_LIMIT_S = {Kind.LOUD: 45.0, Kind.ASKED: 45.0, Kind.SILENT: 60.0, Kind.DISTURBED: 60.0}
"""What is not gone by then is a leak; above what is promised, so that late and never are told apart."""

_RUN_LIMIT_S = 60.0
_LISTS_S = 4.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a trial; ``gone_s`` is None where something stays.

    ``harmed`` is what of the bystanders is not there any more; ``ended`` are those of the runs among them that the
    harness itself has ended, by killing their engine.
    ``missed``: the run, or the victim, was not there any more. ``late_trials``: whose traces appeared that should
    have been gone long before. ``code`` is the launcher's exit code, None if it had to be killed; negative: a signal's.
    """

    trial: Trial
    missed: bool
    gone_s: float | None
    left: Sequence[str]
    harmed: Sequence[str]
    ended: Sequence[str]
    late_trials: Sequence[str]
    code: int | None
    code_fits: bool
    stderr: Sequence[str] = field(default=())

    @property
    def leaked(self) -> bool:
        return bool(self.left or self.late_trials)

    def as_json(self) -> dict[str, Any]:
        value = asdict(self)
        blow = value["trial"]["blow"]
        blow["victim"], blow["kind"] = self.trial.blow.victim.value, self.trial.blow.kind.value
        if not (self.leaked or self.harmed or not self.code_fits):
            del value["stderr"]
        return {"name": self.trial.name, "blow": self.trial.blow.name, **value}


def conduct(trial: Trial, lane: Lane, base_s: float) -> Verdict:
    """Run a trial on a lane; ``base_s`` is how long a run takes whose head ends at once."""
    before = lane.both("extra")
    pid = lane.start_trial(trial)["pid"]
    limit_s = _LIMIT_S[trial.blow.kind]
    silence: list[dict[str, Any]] = []
    after_s = trial.after_s if trial.line else trial.at_fraction * (base_s + min(trial.head_s, 1.0))
    there = lane.head.ask("await_moment", run=trial.name, line=trial.line, after_s=after_s)

    def until_clear() -> None:
        # A launcher that stands still cannot go away; all the rest must.
        ignore = [pid] if trial.blow.victim is Victim.LAUNCHER else []
        silence.extend(lane.both("settle", timeout_s=limit_s, ignore=ignore))

    struck = strike(trial, lane, until_clear) if there else Struck(None)
    end = lane.head.ask("ended", run=trial.name, timeout_s=_RUN_LIMIT_S)
    if not end["over"]:
        lane.head.ask("signal_run", run=trial.name, name="KILL")
    looks = lane.both("settle", timeout_s=limit_s, ignore=[])
    clear_at, found = _compared(lane, max(look["clear_at"] for look in looks))
    left, missing, steady = (found[key] for key in ("left", "missing", "steady"))
    left += [trace for look in silence for trace in look["left"]] + ([] if end["over"] else ["process the launcher"])
    missed = struck.at is None
    if silence and not left:
        clear_at = max(look["clear_at"] for look in silence)
    since = _since(trial, struck, end["at"] or clear_at)
    lane.head.ask("forget", run=trial.name)
    harmed, ended = (steady, missing) if trial.blow.name.startswith("engine:KILL") else (missing, [])
    late = {name for look in looks for name in look["trials"] if name != trial.name}
    return Verdict(
        trial, missed, None if left else max(0.0, clear_at - since), sorted(set(left)), harmed, ended,
        sorted({*late, *(line for lines in before for line in lines)}),
        end["code"], end["over"] and code_fits(trial, missed, end["code"]), end["stderr"],
    )  # fmt: skip


def _compared(lane: Lane, clear_at: float) -> tuple[float, dict[str, list[str]]]:
    """The full comparison; what only the engine's lists still have gets some seconds, which count."""
    deadline = time.monotonic() + _LISTS_S
    while True:
        found = dict(zip(lane.agents, lane.both("differences"), strict=True))
        all_found = {
            key: [f"{agent.node}: {line}" for agent, one in found.items() for line in one[key]]
            for key in ("left", "missing", "steady")
        }
        if not any(all_found.values()) or time.monotonic() > deadline:
            return clear_at, all_found
        time.sleep(0.3)
        clear_at = time.monotonic()


def _since(trial: Trial, struck: Struck, ended_at: float) -> float:
    """From when the time to the last trace counts: from the blow, unless the run may go on after it."""
    if struck.at is None:
        return ended_at
    if trial.blow.victim is Victim.LAUNCHER or trial.blow.kind is Kind.SILENT:
        return struck.at
    return max(struck.at, struck.undone_at or 0.0, ended_at)


def code_fits(trial: Trial, missed: bool, code: int | None) -> bool:
    """Whether the launcher's exit code is one that the trial may end with."""
    numbers = {"KILL": -9, "TERM": 143, "INT": 130, "HUP": 129}
    blow = trial.blow
    if missed:
        return code == trial.exit_code
    if blow.victim is Victim.LAUNCHER and blow.kind is not Kind.SILENT:
        # A signal before dgrid listens ends it as it ends every program.
        early = {"TERM": -15, "INT": -2, "HUP": -1}.get(blow.signal)
        return code in (numbers[blow.signal], early, trial.exit_code)
    if blow.then is not None:
        return code in (numbers[blow.then], trial.exit_code, 125)
    if blow.kind is Kind.DISTURBED and blow.signal == "STOP":
        return code == trial.exit_code  # it was short: no effect
    return code in (trial.exit_code, 125)
