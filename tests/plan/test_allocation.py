"""Allocations: which node is this machine, and who may submit."""

import pytest

from dgrid.errors import UsageError
from dgrid.plan.allocation import Submitter, ThisHost, allocate, check_submitter, this_machine


def here(names, host, addresses=()):
    nodes = [(name, 1) for name in names]
    return allocate(nodes, ThisHost(frozenset(host), frozenset(addresses)), "node file x").here.name


@pytest.mark.parametrize(
    ("names", "host", "expected"),
    [
        (["n1", "n2"], ["n2"], "n2"),
        (["n1", "n2"], ["N2"], "n2"),
        (["n1.x.org", "n2.x.org"], ["n2"], "n2.x.org"),
        (["n1", "n2"], ["n2.x.org"], "n2"),
        (["n2.x.org", "n2.y.org"], ["n2", "n2.y.org"], "n2.y.org"),
        (["n1", "localhost"], ["me", "localhost"], "localhost"),
    ],
)
def test_this_machine_is_found_under_its_short_and_its_full_name(names, host, expected):
    """Batch systems may write FQDNs while hostname says the short name, and the other way round."""
    assert here(names, host) == expected


def test_this_machine_is_found_by_its_address():
    """Spellings of one address are equal."""
    assert here(["10.0.0.1", "10.0.0.2"], ["me"], ["10.0.0.2"]) == "10.0.0.2"
    assert here(["2001:db8:0::2"], ["me"], ["2001:db8::2"]) == "2001:db8:0::2"


def test_a_machine_outside_of_the_allocation_is_told_to_run_inside_the_job():
    """The message has this machine's names, the folded nodes, and the next step."""
    with pytest.raises(UsageError) as caught:
        here(["n1", "n2", "n3"], ["login", "login.x.org", "localhost"])
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "node file x names n[1-3], but dgrid runs on login or login.x.org, which is none of them — "
        "run dgrid inside the job script, on one of the job's nodes"
    )


def test_another_domain_is_another_machine():
    """Two different full names never match by their first part."""
    with pytest.raises(UsageError, match="which is none of them"):
        here(["n1.x.org"], ["n1.y.org"])


def test_a_short_host_name_that_fits_two_nodes_is_an_error():
    """dgrid does not guess where it is."""
    with pytest.raises(UsageError, match=r"any of n1\.x\.org,n1\.y\.org may be this machine"):
        here(["n1.x.org", "n1.y.org"], ["n1"])


def test_job_and_slots_are_kept():
    """Nodes stay in file order with their slots; only this machine is local."""
    made = allocate([("n2", 2), ("n1", 3)], ThisHost(frozenset({"n1"})), "f", job_id="7.s", job_variables=(("A", "b"),))
    assert [(node.name, node.slots, node.is_local) for node in made.nodes] == [("n2", 2, False), ("n1", 3, True)]
    assert (made.job_id, made.job_variables, made.slots, made.machines) == ("7.s", (("A", "b"),), 5, 2)


def test_outside_of_a_job_it_is_this_machine_without_counting_slots():
    """A small definition just works."""
    made = this_machine("laptop")
    assert [(node.name, node.slots) for node in made.nodes] == [("laptop", None)]
    assert (made.machines, made.slots) == (1, None)


def test_local_nodes_are_one_machine():
    """--local 3 is three nodes on one machine, the first of which is dgrid's own."""
    made = this_machine("laptop", 3)
    assert [node.name for node in made.nodes] == ["local1", "local2", "local3"]
    assert (made.machines, made.here.name) == (1, "local1")


@pytest.mark.parametrize(
    ("uid", "gid", "words"),
    [(0, 0, "dgrid does not run as root"), (2**31, 100, "the uid 2147483648 of u"), (100, 2**32 - 2, "the gid ")],
)
def test_users_that_no_container_may_run_as_are_refused(uid, gid, words):
    """Root, and ids that the engines do not take."""
    with pytest.raises(UsageError, match=words):
        check_submitter(Submitter("u", uid, gid, (), "/"))


def test_the_largest_uid_is_accepted():
    """2^31-1 is not over 2^31-1."""
    check_submitter(Submitter("u", 2**31 - 1, 2**31 - 1, (), "/"))
