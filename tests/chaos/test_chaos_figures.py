"""The figures that a number of trials gives."""

from __future__ import annotations

from math import comb
from typing import Any

import pytest
from figures import by_blow, is_red, summary, times_of, upper_bound


def verdict(gone_s: float | None = 1.0, kind: str = "loud", **changed: Any) -> dict[str, Any]:
    blow = {"kind": kind}
    return {
        "blow": "launcher:KILL",
        "missed": False,
        "gone_s": gone_s,
        "bare_s": gone_s and gone_s / 2,
        "left": [],
        "harmed": [],
        "late_trials": [],
        "records": [],
        "code_fits": True,
        "trial": {"blow": blow},
        **changed,
    }


def test_times_are_ranked() -> None:
    """Median, 99th percentile and maximum are times that occurred."""
    times = times_of([float(number) for number in range(200, 0, -1)])
    assert times is not None
    assert (times.count, times.median_s, times.p99_s, times.max_s) == (200, 100.0, 198.0, 200.0)


def test_no_times_are_no_figures() -> None:
    """Without any there is nothing to say."""
    assert times_of([]) is None


@pytest.mark.parametrize(
    ("events", "trials", "bound"),
    [(0, 1000, 1 - 0.05 ** (1 / 1000)), (0, 20, 1 - 0.05 ** (1 / 20)), (3, 3, 1.0), (0, 0, 1.0)],
)
def test_the_bound_of_a_rate(events: int, trials: int, bound: float) -> None:
    """What so many events leave possible with 95 % confidence."""
    assert upper_bound(events, trials) == pytest.approx(bound)


def test_the_bound_is_where_so_few_events_become_unlikely() -> None:
    """At the bound, five or fewer in fifty have a probability of 5 %."""
    rate = upper_bound(5, 50)
    assert sum(comb(50, k) * rate**k * (1 - rate) ** (50 - k) for k in range(6)) == pytest.approx(0.05)


def test_a_summary_counts_what_matters() -> None:
    """Leaks, harm, lateness and misses each have their number; a miss has no part in the times."""
    text = summary(
        [
            verdict(2.0),
            verdict(11.0),
            verdict(None, left=["node1: container 1"]),
            verdict(harmed=["node1: process 1"]),
            verdict(99.0, missed=True),
            verdict(30.0, "silent"),
        ]
    )
    assert "6 trials, 5 of them hit a run in progress" in text
    assert "1 leaks, 1 bystanders harmed, 0 later than promised" in text
    assert "| killed outright (launcher, leash) | 4 | 1.0 | 5.5 | 2.0 | 11.0 | 11.0 | 10 |" in text
    assert "| silent loss (partition, frozen node) | 1 | 15.0 | 15.0 | 30.0 | 30.0 | 30.0 | 25 |" in text


def test_each_victim_has_its_row() -> None:
    """Times stand beside the victim and the signal they belong to."""
    assert "| launcher:KILL | 2 | 1.0 | 3.0 |" in by_blow([verdict(1.0), verdict(3.0)])


@pytest.mark.parametrize(
    ("changed", "red"),
    [
        ({}, False),
        ({"left": ["x"]}, True),
        ({"harmed": ["x"]}, True),
        ({"late_trials": ["x"]}, True),
        ({"bare_s": 10.5}, True),
        ({"gone_s": 30.5, "bare_s": 1.0}, False),
        ({"gone_s": 40.5, "bare_s": 1.0}, True),
        ({"gone_s": 40.5, "missed": True}, False),
        ({"code_fits": False}, False),
    ],
)
def test_what_fails(changed: dict[str, Any], red: bool) -> None:
    """A leak, harm and lateness fail; the exit code is told, and tested elsewhere."""
    assert is_red([verdict(), verdict(**changed)]) is red
