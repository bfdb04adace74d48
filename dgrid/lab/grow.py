"""Adding nodes to a lab that runs, and taking them out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dgrid.errors import LabError
from dgrid.lab.down import remove_host
from dgrid.lab.execute import Command, capture
from dgrid.lab.find import Lab, LabHost, find_lab
from dgrid.lab.machine import Machine
from dgrid.lab.parallel import in_parallel
from dgrid.lab.parts import node_volumes
from dgrid.lab.room import check_room
from dgrid.lab.shape import FRONT, LABEL, Shape
from dgrid.lab.swarm import join_more
from dgrid.lab.up import await_ready, create_host

_CHANGED = "/usr/local/lib/dgrid-lab/changed"


def add(machine: Machine, lab: Lab, number: int, say: Callable[[str], None], deadline_s: int = 60) -> Lab:
    """Adds so many nodes with the next free numbers, and returns the lab when all of its hosts work.

    When they do not within ``deadline_s``, the new ones are removed again. Raises LabError.
    """
    highest = max(lab.shape.numbers, default=0)
    new = tuple(range(highest + 1, highest + 1 + number))
    shape = _with_numbers(lab.shape, (*lab.shape.numbers, *new))
    added = _with_numbers(lab.shape, new)
    check_room(machine, replace(added, ports=()))
    image = machine.client().inspect_container(lab.host(FRONT).container_id)["Image"]
    try:
        say(f"starting {', '.join(added.nodes)}")
        _start_nodes(machine, shape, added.nodes, image)
        grown = find_lab(machine, lab.shape.name)
        _tell(machine, grown, lab.hosts)
        say("waiting until every host works")
        await_ready(machine, grown, deadline_s)
        if lab.shape.swarm:
            join_more(machine, grown, added.nodes)
    except BaseException:
        say("removing what was added")
        _take_out(machine, find_lab(machine, lab.shape.name), added.nodes)
        raise
    return grown


def remove(machine: Machine, lab: Lab, nodes: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Removes nodes with whatever runs on them. Raises LabError for the last one, and for hosts that are no nodes."""
    for node in nodes:
        if lab.host(node).host == FRONT:
            raise LabError(f"{FRONT} is no node; remove the whole lab with: dgrid lab down --name {lab.shape.name}")
    if not set(lab.shape.nodes) - set(nodes):
        raise LabError(f"a lab has a node at least; remove all of it with: dgrid lab down --name {lab.shape.name}")
    if lab.shape.swarm and lab.shape.nodes[0] in nodes:
        raise LabError(f"{lab.shape.nodes[0]} manages the swarm of lab {lab.shape.name} and has to stay")
    _take_out(machine, lab, nodes)
    for node in nodes:
        say(f"removed {node}")


def _with_numbers(shape: Shape, numbers: tuple[int, ...]) -> Shape:
    return replace(shape, node_count=len(numbers), numbers=numbers)


def _start_nodes(machine: Machine, shape: Shape, nodes: tuple[str, ...], image: str) -> None:
    client = machine.client()
    for node in nodes:
        for volume in node_volumes(shape, node):
            client.create_volume(volume, labels={LABEL: shape.name})
    for container in in_parallel(lambda node: create_host(machine, shape, node, image), nodes):
        client.start(container)


def _take_out(machine: Machine, lab: Lab, nodes: tuple[str, ...]) -> None:
    rest = tuple(host for host in lab.hosts if host.host not in nodes)
    there = tuple(host for host in lab.hosts if host.host in nodes)
    in_parallel(
        lambda host: remove_host(machine, host.container_id, node_volumes(lab.shape, host.host)),
        there,
    )
    _tell(machine, find_lab(machine, lab.shape.name), rest)


def _tell(machine: Machine, lab: Lab, hosts: tuple[LabHost, ...]) -> None:
    """Tells hosts which nodes the lab has now; the frontend first, as it knows the addresses. Raises LabError."""
    front, others = (tuple(host for host in hosts if (host.host == FRONT) is is_front) for is_front in (True, False))
    for group in (front, others):
        failures = [text for text in in_parallel(lambda host: _tell_host(machine, lab, host), group) if text]
        if failures:
            raise LabError("\n".join(["the hosts could not be told of the change:", *failures]))


def _tell_host(machine: Machine, lab: Lab, host: LabHost) -> str | None:
    done = capture(machine, host.container_id, Command("root", ("timeout", "60", _CHANGED, *lab.shape.nodes)))
    words = (done.stdout + done.stderr).decode(errors="replace").strip()
    return f"  {host.host}: {words}" if done.returncode != 0 else None
