"""The plan of the chaos trials, and the mutations of dgrid's source that they are checked with."""

from __future__ import annotations

from collections import Counter

import pytest
from mutations import MUTATIONS, Mutation, mutated
from trial import Kind, Victim, draw, names


def test_a_trial_follows_from_seed_and_number() -> None:
    """The same twice, and another one for another number or seed."""
    assert draw(7, 12) == draw(7, 12)
    assert len({draw(7, 12), draw(7, 13), draw(8, 12)}) == 3


def test_every_kind_of_blow_is_drawn() -> None:
    """A thousand trials have each name, and mostly kill the launcher."""
    drawn = Counter(f"{one.blow.victim.value}:{one.blow.signal}" for one in (draw(1, number) for number in range(1000)))
    assert set(drawn) == set(names())
    assert drawn["launcher:KILL"] > 350


def test_kinds_narrow_the_plan() -> None:
    """Beginnings of names choose what is drawn; one that fits nothing is an error."""
    assert {draw(1, number, ("leash", "engine:KILL")).blow.victim for number in range(60)} == {
        Victim.LEASH,
        Victim.ENGINE,
    }
    with pytest.raises(ValueError, match="no trial is called moon"):
        draw(1, 1, ("moon",))


def test_a_silence_outlasts_the_lease_and_its_run_outlasts_the_silence() -> None:
    """Else it would show nothing."""
    for trial in (draw(3, number, ("network:LOST", "node:LOST")) for number in range(100)):
        assert trial.blow.kind is Kind.SILENT and trial.nodes == 2
        assert trial.blow.for_s is not None and 15 < trial.blow.for_s < trial.head_s


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_every_mutation_fits_the_source(mutation: Mutation) -> None:
    """The text that it takes out is there, once."""
    assert mutated(mutation)


def test_a_mutation_that_does_not_fit_is_an_error() -> None:
    """A protection that was rewritten must not look as if it had been switched off."""
    gone = Mutation("gone", "dgrid/run.py", (("no such text", ""),), MUTATIONS[0].trial)
    with pytest.raises(ValueError, match="'no such text' is 0 times"):
        mutated(gone)
