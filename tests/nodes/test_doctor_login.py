"""Reading what a node's shell said to dgrid doctor."""

from __future__ import annotations

import pytest

from dgrid.errors import LinkError
from dgrid.nodes.doctor_login import look_around, read_login
from dgrid.nodes.link import CommandResult
from dgrid.nodes.link_local import LocalLink

SAID = """Welcome to node2!
doctor uid 2001
doctor gid 2001
doctor group 2001 alice
doctor group 4001
doctor tmp 2048
doctor memory
doctor tool perl
doctor tool newuidmap
doctor namespaces 100
doctor clone 0
doctor subuid 65536
doctor subgid 0
doctor port 1388
doctor done
"""


class FakeLink:
    """A node whose clock is an hour ahead, and whose answers take as long as the test's clock says."""

    node = "node2"

    def __init__(self, date: str) -> None:
        self._date = date

    def run(self, script: str, timeout_s: float) -> CommandResult:
        return CommandResult(0, f"doctor clock {self._date}\n" if script.startswith("date") else SAID)


def test_all_that_was_said_is_read():
    """Chatter of start-up files apart."""
    found = read_login("node2", SAID)
    assert (found.uid, found.gid, found.groups) == (2001, 2001, ((2001, "alice"), (4001, "")))
    assert found.chatter == "Welcome to node2!"
    assert (found.tmp_free_bytes, found.memory_free_bytes) == (2 << 20, None)
    assert (found.subuids, found.subgids, found.user_namespaces) == (65536, 0, False)
    assert (found.tools, found.listening) == ({"perl", "newuidmap"}, {5000})


def test_subordinate_ids_are_of_no_use_without_the_program_that_maps_them():
    """As if there were none."""
    assert read_login("node2", SAID.replace("doctor tool newuidmap\n", "")).subuids == 0


def test_a_shell_that_does_not_run_the_script_is_an_error():
    """With what it said instead."""
    with pytest.raises(LinkError, match="the login shell there does not run commands: This account is closed"):
        read_login("node2", "This account is closed\n")


@pytest.mark.parametrize(
    ("date", "ahead_s", "within_s"),
    [("5001.500000000", 4000.5, 1.0), ("5001.%N", 4000.5, 1.5), ("5001.N", 4000.5, 1.5)],
)
def test_the_clock_is_compared_with_the_middle_of_asking(date, ahead_s, within_s):
    """Give or take half the time it took, and half a second where date knows no smaller unit."""
    times = iter((1000.0, 1002.0))
    found = look_around(FakeLink(date), 5, lambda: next(times))  # type: ignore[arg-type]  # of a Link, run is enough
    assert (found.clock_ahead_s, found.clock_within_s) == (ahead_s, within_s)


def test_this_machines_own_shell_can_run_it():
    """All of it: every number is there, and the clock is our own."""
    found = look_around(LocalLink("here"), 20)
    assert found.tmp_free_bytes is not None and found.memory_free_bytes is not None
    assert "perl" in found.tools and found.chatter == ""
    assert abs(found.clock_ahead_s) < 1
