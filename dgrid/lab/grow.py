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
from dgrid.lab.room import check_room_for_more
from dgrid.lab.shape import FRONT, LABEL, Shape
from dgrid.lab.swarm import join_more
from dgrid.lab.up import await_ready, create_host

_CHANGED = "/usr/local/lib/dgrid-lab/changed"
_RUNNING = "running"
_LIVING = (_RUNNING, "paused")


def add(machine: Machine, lab: Lab, number: int, say: Callable[[str], None], deadline_s: int = 60) -> Lab:
    """Adds so many nodes with the next free numbers, and returns the lab when they and all hosts that ran work.

    Nodes that have ended are left out of what the others are told. When not all work within ``deadline_s``, or whatever
    else ends it, the new ones are removed again. Raises LabError.
    """
    _check_running(lab, FRONT, *(lab.shape.nodes[:1] if lab.shape.swarm else ()))
    highest = max(lab.shape.numbers, default=0)
    new = tuple(range(highest + 1, highest + 1 + number))
    shape = _with_numbers(lab.shape, (*(int(node.removeprefix("node")) for node in _living(lab)), *new))
    added = _with_numbers(lab.shape, new)
    check_room_for_more(machine, added)
    image = machine.client().inspect_container(lab.host(FRONT).container_id)["Image"]
    try:
        say(f"starting {', '.join(added.nodes)}")
        _start_nodes(machine, shape, added.nodes, image)
        grown = find_lab(machine, lab.shape.name)
        _tell(machine, shape.nodes, tuple(host for host in grown.hosts if host.host not in added.nodes), say)
        say("waiting until every host works")
        hosts = tuple(host for host in grown.hosts if host.state == _RUNNING or host.host in added.nodes)
        await_ready(machine, replace(grown, hosts=hosts), deadline_s)
        if lab.shape.swarm:
            join_more(machine, grown, added.nodes)
    except BaseException:
        say("removing what was added")
        _undo(machine, lab.shape.name, added.nodes, say)
        raise
    return grown


def remove(machine: Machine, lab: Lab, nodes: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Removes nodes with whatever runs on them, and says which are gone.

    Raises LabError for the last one, for hosts that are no nodes, and for what could not be removed or told.
    """
    for node in nodes:
        if lab.host(node).host == FRONT:
            raise LabError(f"{FRONT} is no node; remove the whole lab with: dgrid lab down --name {lab.shape.name}")
    if not set(lab.shape.nodes) - set(nodes):
        raise LabError(f"a lab has a node at least; remove all of it with: dgrid lab down --name {lab.shape.name}")
    if lab.shape.swarm and lab.shape.nodes[0] in nodes:
        raise LabError(f"{lab.shape.nodes[0]} manages the swarm of lab {lab.shape.name} and has to stay")
    _take_out(machine, lab, nodes, say)


def _with_numbers(shape: Shape, numbers: tuple[int, ...]) -> Shape:
    return replace(shape, node_count=len(numbers), numbers=numbers)


def _living(lab: Lab) -> tuple[str, ...]:
    """The nodes that have not ended. One that has does not come back: its start script can run but once."""
    return tuple(host.host for host in lab.hosts if host.host != FRONT and host.state in _LIVING)


def _check_running(lab: Lab, *names: str) -> None:
    for name in names:
        state = lab.host(name).state
        if state != _RUNNING:
            raise LabError(
                f"{name} of lab {lab.shape.name} is not running but {state}, and no node can be added without it; "
                f"start the lab anew: dgrid lab down --name {lab.shape.name}, and dgrid lab up"
            )


def _start_nodes(machine: Machine, shape: Shape, nodes: tuple[str, ...], image: str) -> None:
    client = machine.client()
    for node in nodes:
        for volume in node_volumes(shape, node):
            client.create_volume(volume, labels={LABEL: shape.name})
    for container in in_parallel(lambda node: create_host(machine, shape, node, image), nodes):
        client.start(container)


def _undo(machine: Machine, name: str, nodes: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Takes out nodes of which not all need be there. What fails is said: why they go is still to be raised."""
    try:
        _take_out(machine, find_lab(machine, name), nodes, lambda _text: None)
    except LabError as error:
        say(str(error))


def _take_out(machine: Machine, lab: Lab, nodes: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Removes nodes and tells the others. Raises LabError with all that failed."""
    failures = []
    for node, failure in zip(nodes, in_parallel(lambda node: _remove_node(machine, lab, node), nodes), strict=True):
        if failure:
            failures.append(f"{node} could not be removed: {failure}")
        else:
            say(f"removed {node}")
    rest = find_lab(machine, lab.shape.name)
    try:
        if living := _living(rest):  # no batch system can be without a node
            _tell(machine, living, rest.hosts, say)
    except LabError as error:
        failures.append(str(error))
    if failures:
        raise LabError("\n".join(failures))


def _remove_node(machine: Machine, lab: Lab, node: str) -> str | None:
    """What could not be removed of a node; of one whose start was broken off there may be volumes alone."""
    ids = tuple(host.container_id for host in lab.hosts if host.host == node)
    try:
        remove_host(machine, ids, node_volumes(lab.shape, node))
    except LabError as error:
        return str(error)
    return None


def _tell(machine: Machine, nodes: tuple[str, ...], hosts: tuple[LabHost, ...], say: Callable[[str], None]) -> None:
    """Tells those hosts that run which nodes the lab has now; the frontend first, as it knows the addresses.

    Raises LabError.
    """
    running = tuple(host for host in hosts if host.state == _RUNNING)
    for host in hosts:
        if host not in running:
            say(f"{host.host} is {host.state}, and is not told of the change")
    front, others = (tuple(host for host in running if (host.host == FRONT) is is_front) for is_front in (True, False))
    for group in (front, others):
        failures = [text for text in in_parallel(lambda host: _tell_host(machine, nodes, host), group) if text]
        if failures:
            raise LabError("\n".join(["the hosts could not be told of the change:", *failures]))


def _tell_host(machine: Machine, nodes: tuple[str, ...], host: LabHost) -> str | None:
    import docker.errors

    try:
        done = capture(machine, host.container_id, Command("root", ("timeout", "60", _CHANGED, *nodes)))
    except docker.errors.APIError as error:
        return f"  {host.host}: {error.explanation}"
    words = (done.stdout + done.stderr).decode(errors="replace").strip()
    return f"  {host.host}: {words}" if done.returncode != 0 else None
