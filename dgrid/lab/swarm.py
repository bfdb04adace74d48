"""Joining the engines of a lab's nodes to a swarm, so that overlay networks can be tried."""

from __future__ import annotations

from dgrid.errors import LabError
from dgrid.lab.execute import Command, capture
from dgrid.lab.find import Lab, LabHost
from dgrid.lab.machine import Machine


def join_engines(machine: Machine, lab: Lab) -> None:
    """The first node's engine starts a swarm and manages it, the others join as workers, as sites do it.

    Raises LabError with the engine's own words.
    """
    first = lab.host(lab.shape.nodes[0])
    _docker(machine, first, "swarm", "init", "--advertise-addr", str(first.address))
    join_more(machine, lab, lab.shape.nodes[1:])


def join_more(machine: Machine, lab: Lab, nodes: tuple[str, ...]) -> None:
    """The engines of these nodes join the swarm that the first node's manages. Raises LabError."""
    first = lab.host(lab.shape.nodes[0])
    token = _docker(machine, first, "swarm", "join-token", "--quiet", "worker").strip()
    for node in nodes:
        _docker(machine, lab.host(node), "swarm", "join", "--token", token, f"{first.address}:2377")


def _docker(machine: Machine, host: LabHost, *argv: str) -> str:
    done = capture(machine, host.container_id, Command("root", ("docker", *argv)))
    if done.returncode != 0:
        raise LabError(f"{host.host}: docker {argv[0]} {argv[1]} failed: {done.stderr.decode().strip()}")
    return done.stdout.decode()
