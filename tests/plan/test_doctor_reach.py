"""What dgrid doctor says about getting to nodes: each finding's text and remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from examined import GIB, WELL, bad, machine, only, unreached
from made import ALICE

from dgrid.errors import HostKeyError, LinkDropped, LinkError, LoginError
from dgrid.plan.checkup import State
from dgrid.plan.doctor_reach import account_findings, clock_findings, reach_findings, space_findings

ALICE = replace(ALICE, group_names=((2001, "alice"), (44, "video")))


def test_nodes_that_are_reached_are_told_with_their_way():
    """By ssh, or not."""
    found = list(reach_findings((machine(1), machine(2))))
    assert [(one.nodes, one.state, one.what) for one in found] == [
        (("node1",), State.OK, "reached without ssh, as it is this machine"),
        (("node2",), State.OK, "reached by ssh (paramiko)"),
    ]


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (
            HostKeyError(
                "node2", "its ssh host key (ssh-ed25519) is unknown; if you trust this network: ssh-keyscan x"
            ),
            "its ssh host key (ssh-ed25519) is unknown",
            "if you trust this network: ssh-keyscan x",
        ),
        (
            LoginError("node2", "there is no ssh key to log in with; see that `ssh -o BatchMode=yes n true` works"),
            "there is no ssh key to log in with",
            "see that `ssh -o BatchMode=yes n true` works",
        ),
        (
            LinkError("node2", "the name node2 does not resolve (Name or service not known)"),
            "the name node2 does not resolve (Name or service not known)",
            "is the name right? Else ask the administrators to have it resolved (DNS, /etc/hosts)",
        ),
        (
            LinkError("node2", "no answer from port 22 within 10 s"),
            "no answer from port 22 within 10 s",
            "is the node up, and does sshd run there? Ask the administrators, or leave it out of the job",
        ),
        (
            LinkDropped("node2", "ssh ended while connecting (EOFError)"),
            "ssh ended while connecting (EOFError)",
            "try again; if it stays, ask the administrators to look at sshd's log there (MaxStartups?)",
        ),
        (
            LinkError("node2", "the login shell there does not run commands: no account"),
            "the login shell there does not run commands: no account",
            "ask the administrators whether users may log in to nodes; `ssh NODE true` must work",
        ),
    ],
)
def test_a_node_that_is_not_reached_is_a_problem_with_its_remedy(error, what, remedy):
    """And the others are told all the same."""
    first, second = reach_findings((machine(1), unreached(2, error)))
    assert first.state is State.OK
    assert (second.nodes, second.state, second.what, second.remedy) == (("node2",), State.PROBLEM, what, remedy)


def test_a_login_shell_that_prints_is_noted():
    """With what it prints."""
    found = only(reach_findings((machine(2, replace(WELL, chatter="Welcome!")),)), "shell")
    assert (found.state, found.what) == (
        State.NOTE,
        "the login shell prints before it runs a command: 'Welcome!'",
    )
    assert found.remedy is not None and "~/.bashrc" in found.remedy


def test_the_same_account_everywhere_is_one_line():
    """With the user's groups by name."""
    (found,) = account_findings((machine(1), machine(2)), ALICE)
    assert (found.nodes, found.state) == (("node1", "node2"), State.OK)
    assert found.what == "alice is 2001:2001 with the groups video (44), as here"


def test_another_uid_is_a_problem():
    """Containers get the number."""
    (found,) = bad(account_findings((machine(1), machine(2, replace(WELL, uid=3001))), ALICE))
    assert (found.state, found.what) == (State.PROBLEM, "alice has uid 3001 there, but 2001 here")
    assert found.remedy == "ask the administrators to give your account the same uid on all nodes"


def test_another_first_group_is_a_note():
    """A run works; files may have another group."""
    (found,) = bad(account_findings((machine(2, replace(WELL, gid=44)),), ALICE))
    assert (found.check, found.state) == ("account", State.NOTE)
    assert found.what == "alice's first group is 44 there, but 2001 here, which containers will have"


def test_a_group_that_is_lacking_there_is_a_note():
    """By name and number."""
    (found,) = bad(account_findings((machine(2, replace(WELL, groups=((2001, "alice"),))),), ALICE))
    assert (found.check, found.state) == ("groups", State.NOTE)
    assert found.what == "you are in video (44) here, but not there; containers get the groups you have here"


@pytest.mark.parametrize(
    ("ahead_s", "within_s", "what"),
    [
        (7.25, 0.01, "its clock is 7.2 s ahead of this machine's"),
        (-3600.0, 0.5, "its clock is 3600.0 s behind this machine's"),
        (2.4, 0.5, None),
        (-1.9, 0.0, None),
    ],
)
def test_clocks_further_apart_than_two_seconds_are_noted(ahead_s, within_s, what):
    """Beyond what asking may have been wrong by."""
    off = machine(2, replace(WELL, clock_ahead_s=ahead_s, clock_within_s=within_s))
    found = bad(clock_findings((machine(1), off)))
    assert [(one.nodes, one.what) for one in found] == ([(("node2",), what)] if what else [])
    assert all(one.remedy and "chrony" in one.remedy for one in found)


def test_a_full_tmp_is_a_problem_and_little_room_a_note():
    """The others are told with the least that is free."""
    full, little = replace(WELL, tmp_free_bytes=0), replace(WELL, tmp_free_bytes=100 << 20)
    found = list(space_findings((machine(1), machine(2, full), machine(3, little), machine(4))))
    told = [(one.nodes, one.state, one.what) for one in found if one.check == "tmp"]
    assert told == [
        (("node2",), State.PROBLEM, "only 0 MiB free in /tmp"),
        (("node3",), State.NOTE, "only 100 MiB free in /tmp"),
        (("node1", "node4"), State.OK, "at least 20.0 GiB free in /tmp"),
    ]


def test_little_memory_is_a_note():
    """Never a problem: others may give it back."""
    (found,) = bad(space_findings((machine(1, replace(WELL, memory_free_bytes=0)), machine(2))))
    assert (found.state, found.what) == (State.NOTE, "only 0 MiB of memory free")


def test_what_a_node_does_not_tell_is_not_found():
    """No number is made up."""
    silent = replace(WELL, tmp_free_bytes=None, memory_free_bytes=None)
    assert list(space_findings((machine(1, silent), unreached(2, LinkError("node2", "gone"))))) == []


def test_plenty_is_told_in_gibibytes():
    """The least of all nodes."""
    found = only(space_findings((machine(1, replace(WELL, memory_free_bytes=3 * GIB)), machine(2))), "memory")
    assert found.what == "at least 3.0 GiB of memory free"
