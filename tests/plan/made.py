"""Short ways to write definitions and allocations down."""

from __future__ import annotations

from typing import Any

from dgrid.plan.allocation import Allocation, Node, Submitter
from dgrid.plan.definition import Container, Definition
from dgrid.plan.plan import Plan, make_plan

ALICE = Submitter("alice", 2001, 2001, (2001, 44), "/home/alice")
HEAD = Container("head", "busybox", interactive=True)


def worker(name: str = "worker", **keys: Any) -> Container:
    return Container(name, "busybox", **keys)


def define(*workers: Container, head: Container = HEAD, **keys: Any) -> Definition:
    return Definition((head, *workers), **keys)


def nodes(*slots: int | None, here: int = 0) -> Allocation:
    """``nodes(2, 2)``: node1 and node2 with two slots each, dgrid on the one with index ``here``."""
    made = tuple(Node(f"node{number}", count, number == here + 1) for number, count in enumerate(slots, 1))
    return Allocation(made, "node file x", "PBS", "12.server", (("PBS_JOBNAME", "try"),))


def planned(definition: Definition, allocation: Allocation, facts: Any = None, oversubscribe: bool = False) -> Plan:
    return make_plan(definition, allocation, ALICE, "s1", facts or {}, oversubscribe)
