"""Placement: which instance goes where."""

import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import HEAD, define, nodes, planned, worker

from dgrid.errors import PlanError
from dgrid.plan.allocation import this_machine
from dgrid.plan.definition import Container, Placement, PlaceOn, ScalePer
from dgrid.plan.placement import place

OTHERS, ON_HEAD, ALONE = Placement(on=PlaceOn.OTHERS), Placement(on=PlaceOn.HEAD), Placement(exclusive=True)


def where(definition, allocation, oversubscribe=False):
    """``"head@1 w-1@2"``: names and the numbers of their nodes."""
    placed = place(definition, allocation, oversubscribe)
    return " ".join(f"{one.name}@{one.node.name.removeprefix('node').removeprefix('local')}" for one in placed)


def refusal(definition, allocation):
    with pytest.raises(PlanError) as caught:
        place(definition, allocation)
    return str(caught.value)


def test_workers_go_round_from_the_node_after_the_heads():
    """Equal nodes are taken in node-file order, in a circle; the head's node comes last."""
    assert where(define(worker("w", scale=4)), nodes(2, 2, 2, here=1)) == "head@2 w-1@3 w-2@1 w-3@3 w-4@1"
    assert where(define(worker("w", scale=5)), nodes(2, 2, 2, here=1)) == "head@2 w-1@3 w-2@1 w-3@3 w-4@1 w-5@2"


def test_the_node_with_most_free_slots_comes_first():
    """Whatever its place in the node file."""
    assert where(define(worker("w", scale=4)), nodes(1, 1, 3)) == "head@1 w-1@3 w-2@3 w-3@2 w-4@3"


def test_containers_follow_in_definition_order():
    """The result is in definition order too, wherever the head stands in it."""
    made = define(worker("a"), worker("b"), worker("c"))
    assert where(made, nodes(1, 1, 1, 1)) == "head@1 a@2 b@3 c@4"


def test_one_container_too_many_is_refused_with_both_numbers():
    """And with the three ways out."""
    assert refusal(define(worker("w", scale=8)), nodes(2, 2, 2, 2)) == (
        "the definition makes 9 instances, but node file x has 8 slots on node[1-4] — "
        'ask for more nodes or slots, lower "scale", or give --oversubscribe'
    )


def test_oversubscribing_goes_on_evenly():
    """Slots are exceeded by the same number everywhere."""
    assert where(define(worker("w", scale=4)), nodes(1, 1), True) == "head@1 w-1@2 w-2@2 w-3@1 w-4@2"


def test_without_counted_slots_there_is_no_limit():
    """Outside a job, and with --local, which spreads over the posing nodes."""
    assert where(define(worker("w", scale=3)), this_machine("1")) == "head@1 w-1@1 w-2@1 w-3@1"
    assert where(define(worker("w", scale=3)), this_machine("me", 2)) == "head@1 w-1@2 w-2@2 w-3@1"


def test_per_node_is_one_on_each_node_that_fits():
    """In node-file order."""
    made = worker("w", scale=ScalePer.NODE)
    assert where(define(made), nodes(2, 2, 2, here=1)) == "head@2 w-1@1 w-2@2 w-3@3"
    others = worker("w", scale=ScalePer.NODE, placement=OTHERS)
    assert where(define(others), nodes(1, 1, 1, here=1)) == "head@2 w-1@1 w-2@3"


def test_per_node_says_which_node_is_full():
    """Too many instances by number come first; else the node is named."""
    assert "makes 3 instances" in refusal(define(worker("w", scale=ScalePer.NODE)), nodes(1, 1))
    text = refusal(define(worker("w", scale=ScalePer.NODE)), nodes(1, 2))
    assert text.startswith('container "w" is to run on every node, but node1 has no free slot for it — ask')


def test_per_slot_takes_what_is_free():
    """The slots of the head's node too, but the head's own."""
    assert where(define(worker("w", scale=ScalePer.SLOT)), nodes(2, 2)) == "head@1 w-1@1 w-2@2 w-3@2"
    others = worker("w", scale=ScalePer.SLOT, placement=Placement(PlaceOn.OTHERS, max_per_node=1))
    assert where(define(others), nodes(2, 2, 2)) == "head@1 w-1@2 w-2@3"


def test_per_slot_leaves_room_for_containers_after_it():
    """A database at the end of the file has its slot; the result is in definition order all the same."""
    made = define(worker("w", scale=ScalePer.SLOT), worker("db"))
    assert where(made, nodes(2, 2)) == "head@1 w-1@1 w-2@2 db@2"


def test_per_slot_needs_a_free_slot_and_counted_slots():
    """Each of the two has its message."""
    made = define(worker("w", scale=ScalePer.SLOT))
    assert "makes 2 instances, but node file x has 1 slot on node1" in refusal(made, nodes(1))
    assert '"scale": "per_slot" needs slots' in refusal(made, this_machine("me"))


def test_on_narrows_the_choice():
    """The head's node, or all others."""
    assert where(define(worker("w", scale=2, placement=ON_HEAD)), nodes(3, 3)) == "head@1 w-1@1 w-2@1"
    assert where(define(worker("w", scale=2, placement=OTHERS)), nodes(9, 1, 1)) == "head@1 w-1@2 w-2@3"


def test_max_per_node_holds():
    """Even where a node has far more free slots than the others; and for this container only."""
    made = define(worker("w", scale=3, placement=Placement(max_per_node=1)), worker("b"))
    assert where(made, nodes(1, 9, 1, 1)) == "head@1 w-1@2 w-2@3 w-3@4 b@2"


def test_an_exclusive_instance_has_its_node_to_itself():
    """Nothing is there before, and nothing comes after."""
    made = define(worker("db", placement=ALONE), worker("w", scale=3))
    assert where(made, nodes(2, 4, 2)) == "head@1 db@2 w-1@3 w-2@3 w-3@1"


def test_an_exclusive_head_is_alone():
    """Workers stay away from its node."""
    lonely = Container("head", "i", interactive=True, placement=ALONE)
    assert where(define(worker("w", scale=2), head=lonely), nodes(4, 2)) == "head@1 w-1@2 w-2@2"


def test_choosy_containers_go_first_where_else_they_would_find_no_place():
    """Definition order would have filled the last empty node, or the head's node."""
    made = define(worker("w", scale=3), worker("db", placement=ALONE))
    assert where(made, nodes(2, 2, 2)) == "head@1 w-1@3 w-2@3 w-3@1 db@2"
    made = define(worker("w", scale=2), worker("near", scale=2, placement=ON_HEAD))
    assert where(made, nodes(4, 1)) == "head@1 w-1@2 w-2@1 near-1@1 near-2@1"


@pytest.mark.parametrize(
    ("made", "allocation", "words"),
    [
        (define(worker("w", scale=2, placement=ALONE)), nodes(9, 9), 'container "w" wants a node to itself'),
        (define(worker("w", scale=3, placement=ON_HEAD)), nodes(3, 3), "is to run on node1, where dgrid runs, but no"),
        (define(worker("w", scale=3, placement=OTHERS)), nodes(3, 2), "no slot is left on other nodes than node1"),
        (define(worker("w", placement=OTHERS)), nodes(3), "there is no other node than node1"),
        (define(worker("w", scale=3, placement=Placement(max_per_node=1))), nodes(3, 3), "with at most 1 on a node"),
        (
            define(worker("w", scale=2, placement=Placement(PlaceOn.HEAD, 1))),
            nodes(5),
            '2 instances on node1 are more than its "max_per_node" of 1',
        ),
        (define(worker("w", placement=Placement(PlaceOn.HEAD, None, True))), nodes(3), "cannot be exclusive there"),
        (
            define(worker("w", scale=ScalePer.SLOT, placement=ALONE)),
            nodes(3, 3),
            '"scale": "per_slot" and "exclusive" contradict each other',
        ),
        (
            define(head=Container("head", "i", interactive=True, placement=OTHERS)),
            nodes(3, 3),
            'container "head" is the head and runs on node1, where dgrid runs — drop its "on": "others"',
        ),
        (
            define(worker("a", scale=3), worker("b", placement=ALONE)),
            nodes(2, 3),
            "beside those that have a node to themselves",
        ),
    ],
)
def test_what_is_said_where_there_is_no_place(made, allocation, words):
    """The reason in the words of the container's own placement."""
    assert words in refusal(made, allocation)


def test_all_reasons_come_at_once():
    """A line for each."""
    made = define(worker("a", placement=OTHERS), worker("b", scale=ScalePer.SLOT, placement=ALONE))
    assert len(refusal(made, nodes(3)).splitlines()) == 2


def test_a_large_job_is_planned_in_no_time():
    """4096 nodes, 16384 instances: under two seconds, requests included."""
    allocation = nodes(*[4] * 4096)
    made = define(worker("w", scale=16000), worker("db", scale=383, placement=Placement(max_per_node=1)))
    began = time.perf_counter()
    assert len(planned(made, allocation).instances) == 16384
    assert time.perf_counter() - began < 2


_PLACEMENTS = st.builds(
    Placement,
    on=st.sampled_from(PlaceOn),
    max_per_node=st.none() | st.integers(1, 3),
    exclusive=st.sampled_from([False, False, False, True]),
)
_WORKERS = st.lists(st.tuples(st.integers(1, 6) | st.sampled_from(ScalePer), _PLACEMENTS), max_size=5).map(
    lambda made: [worker(f"w{n}", scale=scale, placement=where) for n, (scale, where) in enumerate(made)]
)
_SLOTS = st.lists(st.integers(1, 5), min_size=1, max_size=6)


def _check(container, seats, allocation, oversubscribe):
    on = Counter(one.node.name for one in seats if one.container is container)
    placement = container.placement
    if placement.on is not PlaceOn.ANY and container is not HEAD:
        assert all((name == allocation.here.name) == (placement.on is PlaceOn.HEAD) for name in on)
    if placement.max_per_node is not None:
        assert max(on.values()) <= placement.max_per_node
    if placement.exclusive:
        assert all(sum(one.node.name == name for one in seats) == 1 for name in on)
    if isinstance(container.scale, int):
        assert sum(on.values()) == container.scale
    else:
        assert on


@settings(max_examples=400, deadline=None)
@given(_WORKERS, _SLOTS, st.data(), st.booleans())
def test_every_placement_keeps_the_promises(workers, slots, data, oversubscribe):
    """The head is here; bounds hold; no node is over its slots unless allowed; the same input, the same result."""
    allocation = nodes(*slots, here=data.draw(st.integers(0, len(slots) - 1)))
    definition = define(*workers)
    try:
        seats = place(definition, allocation, oversubscribe)
    except PlanError as refused:
        assert " — " in str(refused)
        return
    assert seats == place(definition, allocation, oversubscribe)
    assert next(one.node for one in seats if one.container is HEAD) == allocation.here
    for container in definition.containers:
        _check(container, seats, allocation, oversubscribe)
    if not oversubscribe:
        used = Counter(one.node.name for one in seats)
        assert all(used[node.name] <= (node.slots or 0) for node in allocation.nodes)


@given(st.integers(1, 30), _SLOTS)
def test_plain_containers_always_fit_into_the_slots(scale, slots):
    """It is an error exactly when there are more instances than slots."""
    definition = define(worker("w", scale=scale))
    try:
        place(definition, nodes(*slots))
    except PlanError:
        assert scale + 1 > sum(slots)
    else:
        assert scale + 1 <= sum(slots)
