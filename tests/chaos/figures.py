"""What a number of trials says, in numbers: times by kind, and how many leaks there may be that were not seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Times:
    """Median, 99th percentile and maximum of ``count`` times in seconds."""

    count: int
    median_s: float
    p99_s: float
    max_s: float


def times_of(seconds: Sequence[float]) -> Times | None:
    """``times_of([1.0, 2.0, 9.0]).median_s == 2.0``; percentiles by nearest rank; None without any."""
    if not seconds:
        return None
    ranked = sorted(seconds)
    return Times(len(ranked), _rank(ranked, 0.5), _rank(ranked, 0.99), ranked[-1])


def _rank(ranked: Sequence[float], part: float) -> float:
    return ranked[max(1, math.ceil(part * len(ranked))) - 1]


def upper_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """The rate that ``events`` in ``trials`` leave possible, one-sided (Clopper and Pearson, Biometrika 26, 1934).

    ``upper_bound(0, 1000)`` is 1 - 0.05**(1/1000), about 0.003: the rule of three.
    """
    if trials == 0 or events >= trials:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most(events, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(events: int, trials: int, rate: float) -> float:
    """The probability of at most so many events in independent trials."""
    if rate in (0.0, 1.0):
        return 1.0 - rate
    return math.fsum(
        math.exp(
            math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
            + k * math.log(rate) + (trials - k) * math.log1p(-rate)
        )
        for k in range(events + 1)
    )  # fmt: skip


BOUNDS_S: Mapping[str, float] = {"loud": 10.0, "asked": 10.0, "silent": 25.0, "disturbed": 25.0}
"""What is promised for each kind of trial, for everything but the leashes; see docs/reliability.md."""

LEASHES_STAY_S = 30.0
"""How much longer a leash itself may stay, whose dgrid died between a create and its answer."""

_MEANINGS = {
    "loud": "killed outright (launcher, leash)",
    "asked": "launcher asked to end (TERM, INT, HUP)",
    "silent": "silent loss (partition, frozen node)",
    "disturbed": "launcher, leash, engine or node away for a while",
}


def is_red(verdicts: Iterable[Mapping[str, Any]]) -> bool:
    """Whether anything leaked, a bystander was harmed, or the last trace of a run went later than promised."""
    return any(one["left"] or one["late_trials"] or one["harmed"] or is_late(one) for one in verdicts)


def summary(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """The figures of trials, as the harness prints and the documentation shows them: a table in Markdown."""
    hit = [one for one in verdicts if not one["missed"]]
    leaks = [one for one in verdicts if one["left"] or one["late_trials"]]
    harmed = [one for one in verdicts if one["harmed"]]
    codes = [one for one in verdicts if not one["code_fits"]]
    late = [one for one in hit if is_late(one)]
    lines = [
        f"{len(verdicts)} trials, {len(hit)} of them hit a run in progress",
        f"{len(leaks)} leaks, {len(harmed)} bystanders harmed, {len(late)} later than promised, "
        f"{len(codes)} unexpected exit codes",
        f"{sum(len(one['records']) for one in verdicts)} entries in containerd's list that dockerd forgot "
        "(no process of the run; only root sees them)",
        f"leak rate: at most {upper_bound(len(leaks), len(hit)):.2%} (95 % confidence)",
        "",
        "| what happened | trials | all but leashes: median s | max s | leashes too: median s | 99th % s | max s | "
        "promised s |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(kind, hit) for kind in BOUNDS_S if any(_kind(one) == kind for one in hit)),
    ]
    return "\n".join(lines)


def by_blow(verdicts: Iterable[Mapping[str, Any]]) -> str:
    """The same times for each victim and signal, a row each: of those trials that left nothing."""
    hit = [one for one in verdicts if not one["missed"]]
    lines = ["| victim and signal | trials | median s | max s |", "|---|---|---|---|"]
    for name in sorted({one["blow"] for one in hit}):
        own = [one["gone_s"] for one in hit if one["blow"] == name]
        times = times_of([gone_s for gone_s in own if gone_s is not None])
        figures = f"{len(own)} | {times.median_s:.1f} | {times.max_s:.1f}" if times else f"{len(own)} | – | –"
        lines.append(f"| {name} | {figures} |")
    return "\n".join(lines)


def _row(kind: str, hit: Sequence[Mapping[str, Any]]) -> str:
    own = [one for one in hit if _kind(one) == kind]
    ended = [one for one in own if one["gone_s"] is not None]
    all_gone, bare = times_of([one["gone_s"] for one in ended]), times_of([one["bare_s"] for one in ended])
    figures = f"{len(own)} | – | – | – | – | –"
    if all_gone is not None and bare is not None:
        figures = (
            f"{len(own)} | {bare.median_s:.1f} | {bare.max_s:.1f} | "
            f"{all_gone.median_s:.1f} | {all_gone.p99_s:.1f} | {all_gone.max_s:.1f}"
        )
    return f"| {_MEANINGS[kind]} | {figures} | {BOUNDS_S[kind]:.0f} |"


def is_late(verdict: Mapping[str, Any]) -> bool:
    """Whether the last trace of a run in progress went later than promised."""
    if verdict["gone_s"] is None or verdict["missed"]:
        return False
    bound_s = BOUNDS_S[_kind(verdict)]
    return verdict["bare_s"] > bound_s or verdict["gone_s"] > bound_s + LEASHES_STAY_S


def _kind(verdict: Mapping[str, Any]) -> str:
    return str(verdict["trial"]["blow"]["kind"])
