"""Which containers of which runs are meant, and in which order they stand."""

from dataclasses import replace

import pytest

from dgrid.errors import UsageError
from dgrid.plan.folding import unfold
from dgrid.plan.looking import Listed, age, in_order, more_nodes, narrow, only_run, pick


def listed(name, node="node1", session="aaa111", **values):
    container, _, index = name.partition("-")
    defaults = {"job": "12.head", "user": "alice", "nodes": "node[1-10]", "image": "debian", "state": "running"}
    role = "head" if name == "head" else "worker"
    return Listed(
        machine=values.pop("machine", node), container_id=f"{name}{session}", node=node, name=name, container=container,
        index=int(index or 1), role=role, session=session, age_s=60, **{**defaults, **values},
    )  # fmt: skip


RUN = (
    listed("worker-10", "node10"),
    listed("worker-2", "node2"),
    listed("database"),
    listed("head"),
    listed("worker-1", "node2"),
)


def names(found):
    return [one.name for one in found]


def test_order_is_the_plans():
    """By node as the run counts them (node10 after node2), the head first on its node, then by index."""
    assert names(in_order(RUN)) == ["head", "database", "worker-1", "worker-2", "worker-10"]


def test_nodes_that_the_run_does_not_name_come_last():
    """Labels may be wrong or missing."""
    assert names(in_order([listed("b-1", "x", nodes="node[1"), listed("a-1", "node1")])) == ["a-1", "b-1"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), ["head", "database", "worker-1", "worker-2", "worker-10"]),
        (("worker-2",), ["worker-2"]),
        (("worker",), ["worker-1", "worker-2", "worker-10"]),
        (("head", "worker-[1-2]"), ["head", "worker-1", "worker-2"]),
    ],
)
def test_containers_are_named_as_in_the_hostfile_or_the_definition(words, found):
    """One instance, all of a container, several folded, or all there are."""
    assert names(pick(in_order(RUN), words)) == found


def test_a_name_that_is_none_gets_the_nearest_that_is():
    """A typo costs no second look."""
    with pytest.raises(UsageError, match=r"no container wroker on the nodes looked at — did you mean worker\?"):
        pick(RUN, ("wroker",))
    with pytest.raises(UsageError, match=r"no container x on .* — there are database,head,worker-\[1-2,10\]"):
        pick(RUN, ("x",))


@pytest.mark.parametrize(
    ("session", "job", "count"),
    [(None, None, 6), ("aaa", None, 5), ("b", None, 1), ("aaa111x", None, 0), (None, "12", 5), (None, "12.head", 5),
     (None, "12.other", 0), (None, "1", 0), ("bbb", "13[2]", 1)],
)  # fmt: skip
def test_runs_are_told_by_session_and_job(session, job, count):
    """The session by its first letters; the job with or without its server."""
    other = listed("head", session="bbb222", job="13[2].head")
    assert len(narrow((*RUN, other), session, job)) == count


def test_several_runs_are_listed_to_choose_from():
    """With job, session, nodes and age."""
    other = replace(listed("head", session="bbb222"), job="", age_s=3725)
    with pytest.raises(UsageError) as caught:
        only_run((*RUN, other), "node[1-10]")
    assert str(caught.value).splitlines() == [
        "2 runs are there — say which one with --session or --job:",
        "  session aaa111, job 12.head, on node[1-2,10], 1m00s old",
        "  session bbb222, job -, on node1, 1h02m old",
    ]


def test_no_run_is_an_error_that_says_where_to_look():
    """With the nodes that were looked at."""
    with pytest.raises(UsageError, match=r"found no such run of yours on node\[1-2\] — .* -w NODES"):
        only_run((), "node[1-2]")


def test_the_other_nodes_of_a_run_are_known_from_any_of_its_containers():
    """Those that were looked at are left out."""
    found = more_nodes([listed("head", nodes="node[1-3]")], ["node1"])
    assert found == ("node2", "node3")


def test_nodes_this_machine_poses_as_are_no_nodes_to_go_to():
    """Of a run with --local."""
    assert more_nodes([listed("head", "local1", machine="laptop", nodes="local[1-3]")], ["laptop"]) == ()
    assert more_nodes([listed("head", "n1", machine="n1.cluster", nodes="n[1-2]")], ["n1.cluster"]) == ("n1", "n2")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (125, "2m05s"), (3725, "1h02m"), (180000, "2d02h"), (-3, "0s")]
)
def test_ages_are_short(seconds, text):
    """Two units at most; clocks that differ make none negative."""
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a,b a", ("a", "b")),
        ("n[1-3]", ("n1", "n2", "n3")),
        ("n[08-10]x", ("n08x", "n09x", "n10x")),
    ],
)
def test_folded_names_unfold(text, found):
    """ClusterShell's ranges, and plain lists."""
    assert unfold(text) == found


def test_what_cannot_be_unfolded_is_a_value_error():
    """An open bracket."""
    with pytest.raises(ValueError, match="n\\[1"):
        unfold("n[1-")
