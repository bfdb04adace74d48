"""The order of starting."""

import pytest
from made import HEAD, define, worker

from dgrid.errors import PlanError
from dgrid.plan.definition import Link
from dgrid.plan.order import start_order


def test_without_dependencies_all_workers_start_together():
    """The head is in no level: it comes last."""
    assert start_order(define(worker("b"), worker("a"))) == (("b", "a"),)


def test_levels_follow_depends_on_and_links():
    """A link means that the other must be there first."""
    made = define(
        worker("web", depends_on=("cache",)), worker("cache", links=(Link("db", "DB"),)), worker("db"), worker("log")
    )
    assert start_order(made) == (("db", "log"), ("cache",), ("web",))


def test_a_lone_head_has_no_levels():
    """No workers, nothing to wait for."""
    assert start_order(define()) == ()


def test_a_worker_may_link_to_the_head_but_not_wait_for_it():
    """The link gives only the head's host name."""
    assert start_order(define(worker("w", links=(Link("head", "HEAD"),)))) == (("w",),)
    with pytest.raises(
        PlanError, match='container "w" depends on "head", the interactive container, which starts last'
    ):
        start_order(define(worker("w", depends_on=("head",))))


def test_a_cycle_is_printed():
    """Through links as well as depends_on."""
    made = define(
        worker("x", depends_on=("a",)), worker("a", depends_on=("b",)), worker("b", links=(Link("a", "A"),)), head=HEAD
    )
    with pytest.raises(PlanError, match="containers wait for each other: a -> b -> a — drop one"):
        start_order(made)


def test_a_long_chain_is_no_trouble():
    """Neither for the stack nor for the clock."""
    chain = [worker("w0"), *(worker(f"w{i}", depends_on=(f"w{i - 1}",)) for i in range(1, 3000))]
    assert start_order(define(*reversed(chain)))[:2] == (("w0",), ("w1",))
