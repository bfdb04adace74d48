"""One trial from its start to the verdict: what is left of it, when its last trace went, who was harmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from agents import Agent
from ending import ending, settled
from figures import is_red
from lanes import Lane
from trial import Kind, Trial, Victim
from victims import Struck, strike

_LIMIT_S = {Kind.LOUD: 45.0, Kind.ASKED: 45.0, Kind.SILENT: 60.0, Kind.DISTURBED: 60.0}
"""What is not gone by then is a leak; above what is promised, so that late and never are told apart."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a trial; ``gone_s`` is None where something stays.

    ``bare_s`` is the time until all was gone but the leashes' own processes, which stay to look again.
    ``harmed`` is what of the bystanders is not there any more; ``ended`` are those of the runs among them that the
    harness itself has ended, by killing their engine. ``records`` are what the engine forgot, see node/observer.py.
    ``missed``: the run, or the victim, was not there any more. ``late_trials``: whose traces appeared that should
    have been gone long before. ``code`` is the launcher's exit code, None if it had to be killed; negative: a signal's.
    """

    trial: Trial
    missed: bool
    gone_s: float | None
    bare_s: float | None
    left: Sequence[str]
    harmed: Sequence[str]
    ended: Sequence[str]
    records: Sequence[str]
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
        if not is_red([value]) and self.code_fits:
            del value["stderr"]
        return {"name": self.trial.name, "blow": self.trial.blow.name, **value}


def conduct(trial: Trial, lane: Lane, base_s: float) -> Verdict:
    """Run a trial on a lane; ``base_s`` is how long a run takes whose head ends at once."""
    before = [line for lines in lane.both("extra") for line in lines]
    lane.start_trial(trial)
    limit_s = _LIMIT_S[trial.blow.kind]
    silence: list[dict[str, Any]] = []
    after_s = trial.after_s if trial.line else trial.at_fraction * (base_s + min(trial.head_s, 1.0))
    there = lane.head.ask("await_moment", run=trial.name, line=trial.line, after_s=after_s)

    def until_clear(agents: tuple[Agent, ...]) -> None:
        silence.extend(settled(agents, limit_s))

    struck = strike(trial, lane, until_clear) if there else Struck(None)
    end = ending(lane, trial.name, limit_s)
    left = sorted({*end.left, *(trace for look in silence for trace in look["left"])})
    missed = struck.at is None
    harmed, ended = (end.steady, end.missing) if _ends_bystanders(trial) else (end.missing, [])
    since = _since(trial, struck, end.ended_at)
    gone_s, bare_s = max(0.0, end.clear_at - since), max(0.0, end.bare_at - since)
    if struck.at is not None and silence:
        gone_s = max(gone_s, *(look["clear_at"] - struck.at for look in silence))
        bare_s = max(bare_s, *(look["bare_at"] - struck.at for look in silence))
    return Verdict(
        trial=trial,
        missed=missed,
        gone_s=None if left else gone_s,
        bare_s=None if left else bare_s,
        left=left,
        harmed=harmed,
        ended=ended,
        records=end.records,
        late_trials=sorted({*before, *(end.trials - {trial.name})}),
        code=end.code,
        code_fits=code_fits(trial, missed, end.code),
        stderr=end.stderr,
    )


def _ends_bystanders(trial: Trial) -> bool:
    """Whether the harness itself ends runs of bystanders: it kills their engine, or silences a node for long."""
    return trial.blow.name.startswith(("engine:KILL", "node:LOST"))


def _since(trial: Trial, struck: Struck, ended_at: float) -> float:
    """From when the time to the last trace counts: the blow, its end, or the run's end where that goes on."""
    blow = trial.blow
    if struck.at is None:
        return ended_at
    if blow.for_s is None and blow.victim is Victim.LAUNCHER:
        return struck.at
    if blow.kind is Kind.SILENT or blow.then is not None:
        return struck.undone_at or struck.at
    return max(struck.undone_at or struck.at, ended_at)


def code_fits(trial: Trial, missed: bool, code: int | None) -> bool:
    """Whether the launcher's exit code is one that the trial may end with."""
    numbers = {"KILL": -9, "TERM": 143, "INT": 130, "HUP": 129}
    blow = trial.blow
    if missed:
        return code == trial.exit_code
    if blow.for_s is None and blow.victim is Victim.LAUNCHER:
        # A signal before dgrid listens ends it as it ends every program.
        early = {"TERM": -15, "INT": -2, "HUP": -1}.get(blow.signal)
        return code in (numbers[blow.signal], early, trial.exit_code)
    if blow.then is not None:
        return code in (numbers[blow.then], trial.exit_code, 125)
    if blow.signal == "STOP":
        return code == trial.exit_code  # it was short: no effect
    # A leash that is sent TERM ends its whole run, dgrid beside it outright. 255 is dockerd's word for a container that
    # ended while dockerd was dead.
    others = {"leash:TERM": -9, "engine:KILL": 255}
    return code in (trial.exit_code, 125, others.get(blow.name))
