"""A small run, killed at each of its system calls in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from checker import Verdict
from ending import ending
from lanes import Lane, Program
from trial import Blow, Kind, Trial, Victim

_LIMIT_S = 45.0


def each_call(lane: Lane, which: str, every: int) -> Iterator[Callable[[Lane], Verdict]]:
    """A trial for every ``every``-th call. ``which``: "effects", calls that can be noticed outside, or "all"."""
    count = _count(lane, which)
    # Threads make it some more or fewer each time; those beyond a run's end are told as missed.
    return (_killed_at(number, which) for number in range(1, int(count * 1.2) + 1, every))


def _count(lane: Lane, which: str) -> int:
    end = ending(lane, _start(lane, 0, which), _LIMIT_S)
    line = next(line for line in end.stderr if line.startswith("calls: "))
    return int(line.removeprefix("calls: "))


def _killed_at(number: int, which: str) -> Callable[[Lane], Verdict]:
    def conduct(lane: Lane) -> Verdict:
        end, trial = ending(lane, _start(lane, number, which), _LIMIT_S), _trial(number)
        return Verdict(
            trial=trial,
            missed=end.code == 0,
            gone_s=None if end.left else max(0.0, end.clear_at - end.ended_at),
            bare_s=None if end.left else max(0.0, end.bare_at - end.ended_at),
            left=end.left,
            harmed=end.missing,
            ended=[],
            records=end.records,
            late_trials=sorted(end.trials - {trial.name}),
            code=end.code,
            code_fits=end.code in (0, 137),
            stderr=end.stderr,
        )

    return conduct


def _start(lane: Lane, number: int, which: str) -> str:
    trial = _trial(number)
    argv = ("/usr/bin/python3", "/run/chaos/kill_at.py", str(number), which, "--", *Program().argv)
    before, lane.program = lane.program, Program(argv)
    try:
        lane.start_trial(trial)
    finally:
        lane.program = before
    return trial.name


def _trial(number: int) -> Trial:
    blow = Blow(Victim.LAUNCHER, "KILL", Kind.LOUD)
    return Trial(0, number, blow, 0.0, f"system call {number}", 0.0, 2, 1, 0.0, 0, False, "paramiko")
