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
    first, *others = (lab.host(node) for node in lab.shape.nodes)
    _docker(machine, first, "swarm", "init", "--advertise-addr", str(first.address))
    token = _docker(machine, first, "swarm", "join-token", "--quiet", "worker").strip()
    for node in others:
        _docker(machine, node, "swarm", "join", "--token", token, f"{first.address}:2377")


def _docker(machine: Machine, host: LabHost, *argv: str) -> str:
    done = capture(machine, host.container_id, Command("root", ("docker", *argv)))
    if done.returncode != 0:
        raise LabError(f"{host.host}: docker {argv[0]} {argv[1]} failed: {done.stderr.decode().strip()}")
    return done.stdout.decode()
