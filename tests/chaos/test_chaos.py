"""A short run of the chaos harness: `make chaos` has the long ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from checker import Verdict, conduct
from cluster import running_lab
from directed import creates_under_way
from figures import is_red, summary
from harness import Grid, open_grid, run_all
from lanes import IMAGE
from mutations import MUTATIONS, tried
from trial import draw

pytestmark = pytest.mark.lab

SEED = 20261120


@pytest.fixture(scope="module")
def grid() -> Iterator[Grid]:
    """Two lanes with bystanders."""
    for cluster in running_lab("rc", 4, "DGRID_TEST_CHAOS_LAB", "--batch", "none"):
        cluster.load(IMAGE)
        with open_grid(cluster.name, 2, print) as opened:
            yield opened


def test_nothing_is_left_and_nobody_harmed(grid: Grid) -> None:
    """Twelve runs hit at random leave nothing, in time, and the bystanders as they were."""
    told: list[Verdict] = []
    trials = [draw(SEED, number, ("launcher:KILL", "launcher:TERM", "leash", "engine:STOP")) for number in range(12)]
    run_all(grid, [partial(conduct, trial, base_s=grid.base_s) for trial in trials], print, told.append)
    verdicts = [one.as_json() for one in told]
    assert len(verdicts) == 12 and sum(not one["missed"] for one in verdicts) >= 6
    assert not is_red(verdicts), summary(verdicts) + "".join(f"\n{one}" for one in verdicts)


def test_a_late_call_finds_the_leash_still_there(grid: Grid) -> None:
    """Creates that the engine carries out when dgrid has gone are found by the second look."""
    found = creates_under_way(grid.lanes[1])
    assert not found.is_red, found


@pytest.mark.parametrize("name", ["no labels on create", "no second sweep", "the connection is not cut"])
def test_a_protection_switched_off_is_noticed(grid: Grid, name: str) -> None:
    """The harness finds what a missing protection leaves."""
    (mutation,) = (one for one in MUTATIONS if one.name == name)
    lane = grid.lanes[1]
    found = tried(mutation, lane)
    lane.both("clean")
    assert found.is_red, found
