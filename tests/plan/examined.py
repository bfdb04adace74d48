"""Short ways to write down what was found on machines."""

from __future__ import annotations

from typing import Any

from made import ALICE

from dgrid.errors import NodeError
from dgrid.plan.allocation import Allocation, Node
from dgrid.plan.checkup import EngineFound, Examined, Finding, LoginFound, State, Subject
from dgrid.plan.definition import Definition
from dgrid.plan.facts import EngineKind

GIB = 1 << 30
WELL = LoginFound(
    2001,
    2001,
    ((2001, "alice"), (44, "video")),
    tmp_free_bytes=20 * GIB,
    memory_free_bytes=8 * GIB,
    tools=frozenset({"docker", "perl"}),
)
DOCKER = EngineFound(
    EngineKind.DOCKER,
    "29.5.1",
    cgroup_driver="cgroupfs",
    cgroup_version="2",
    parts=(("runc", "1.5.1"),),
    directory="/var/lib/docker",
    free_bytes=40 * GIB,
)
PODMAN = EngineFound(EngineKind.PODMAN, "5.8.0", rootless=True, cgroup_version="2", parts=(("crun", "1.28"),))


def machine(number: int, login: LoginFound | None = WELL, engine: EngineFound | None = DOCKER, **keys: Any) -> Examined:
    """node1 is this machine, all others are not."""
    way = "without ssh, as it is this machine" if number == 1 else "by ssh (paramiko)"
    return Examined((Node(f"node{number}", 2, number == 1),), way, login=login, engine=engine, **keys)


def unreached(number: int, error: NodeError) -> Examined:
    return machine(number, None, None, unreached=error)


def subject(count: int, definition: Definition | None = None, **keys: Any) -> Subject:
    nodes = tuple(Node(f"node{number}", 2, number == 1) for number in range(1, count + 1))
    allocation = Allocation(nodes, "node file x", "PBS", "12.server")
    return Subject(
        **{
            "nodes": nodes,
            "source": "node file x",
            "submitter": ALICE,
            "batch_system": "PBS",
            "job_id": "12.server",
            "allocation": allocation,
            "definition": definition,
            **keys,
        }
    )


def bad(findings: Any) -> list[Finding]:
    """Those that are not in order."""
    return [one for one in findings if one.state is not State.OK]


def only(findings: Any, check: str) -> Finding:
    """The one finding of that name."""
    (one,) = [one for one in findings if one.check == check]
    return one
