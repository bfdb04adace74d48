"""Plans: what a definition and an allocation become together."""

import pytest
from made import ALICE, HEAD, define, nodes, planned, worker

from dgrid.errors import PlanError
from dgrid.plan.allocation import this_machine
from dgrid.plan.definition import Mount, Resources
from dgrid.plan.facts import EngineKind, NodeFacts
from dgrid.plan.plan import make_plan


def refusal(definition, allocation, facts=None):
    with pytest.raises(PlanError) as caught:
        planned(definition, allocation, facts)
    return str(caught.value)


def test_instances_are_in_definition_order_and_numbered_from_one():
    """The head is found among them; nodes are those in use, in node-file order."""
    made = planned(define(worker("w", scale=2), worker("db")), nodes(1, 1, 1, 1, 1, here=3))
    assert [(one.name, one.index, one.node.name) for one in made.instances] == [
        ("head", 1, "node4"),
        ("w-1", 1, "node5"),
        ("w-2", 2, "node1"),
        ("db", 1, "node2"),
    ]
    assert made.head.node == made.allocation.here
    assert [node.name for node in made.nodes] == ["node1", "node2", "node4", "node5"]
    assert made.start_order == (("w", "db"),)
    assert [one.request.name for one in made.instances] == ["head-s1", "w-1-s1", "w-2-s1", "db-s1"]


def test_the_same_arguments_give_the_same_plan():
    """Nothing of it comes from a clock, a random number or the order of a set."""
    definition, allocation = define(worker("w", scale=5)), nodes(2, 2, 2)
    assert planned(definition, allocation) == planned(definition, allocation)


def test_reasons_of_different_kinds_come_together():
    """Order and placement in one error."""
    text = refusal(define(worker("w", scale=9, depends_on=("head",))), nodes(1))
    assert len(text.splitlines()) == 2
    text = refusal(
        define(worker("a", mounts=(Mount("/x", "/dgrid", True),)), worker("b", resources=Resources(gpus=1))),
        nodes(3),
        {"node1": NodeFacts(EngineKind.PODMAN)},
    )
    assert len(text.splitlines()) == 2


def test_names_that_meet_are_refused():
    """A container called like another's instance."""
    assert 'both would have the host name "w-1"' in refusal(define(worker("w", scale=2), worker("w-1")), nodes(9))


def test_gpus_of_podman_are_refused():
    """With the node's name, before anything is asked of it."""
    text = refusal(define(worker(resources=Resources(gpus=1))), nodes(3), {"node1": NodeFacts(EngineKind.PODMAN)})
    assert text.startswith('node1: container "worker" wants GPUs, which dgrid can ask of Docker only')


def test_a_hostfile_in_a_read_only_mount_is_refused():
    """It cannot be written there; neither over a file that is mounted."""
    text = refusal(define(worker(mounts=(Mount("/x", "/dgrid", True),))), nodes(3))
    assert "cannot be written to /dgrid/hostfile.json, since /dgrid is mounted read-only" in text
    text = refusal(define(worker(mounts=(Mount("/x/h.json", "/dgrid/hostfile.json"),))), nodes(3))
    assert "/x/h.json is mounted at /dgrid/hostfile.json, where the hostfile goes" in text


def test_a_hostfile_in_a_mount_is_warned_of():
    """It stays on the node. A mount further inside or beside makes no difference."""
    made = planned(define(worker(mounts=(Mount("/x", "/dgrid"), Mount("/y", "/dgrid/y", True)))), nodes(3))
    assert len(made.warnings) == 1
    assert "written to /dgrid, which is /x on the node, and stays there after the run" in made.warnings[0]
    assert planned(define(worker(mounts=(Mount("/y", "/dgridy"),))), nodes(3)).warnings == ()


def test_what_has_no_effect_is_said():
    """Checkpointing; a place in a JSON hostfile without a tag; groups under rootless Podman."""
    made = planned(
        define(worker("a", checkpointing=True), worker("b", listed=True)),
        nodes(3),
        {"node1": NodeFacts(EngineKind.PODMAN, rootless=True)},
    )
    first, second, third = made.warnings
    assert first == 'container "a": "checkpointing" does nothing yet'
    assert second.startswith('container "b" is not in the hostfile: "json" lists hosts under tags')
    assert third.startswith(
        "node1: containers of rootless Podman have your uid and gid, but not your other groups (44)"
    )


def test_outside_a_job_the_job_is_empty():
    """The label and the variable are there all the same."""
    made = make_plan(define(head=HEAD), this_machine("me"), ALICE, "s1", {})
    assert ("io.dgrid.job", "") in made.head.request.labels
    assert ("DGRID_JOB", "") in made.head.request.environment
