"""Placement: which instance goes to which node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dgrid.errors import PlanError
from dgrid.plan.allocation import Allocation, Node
from dgrid.plan.definition import Container, Definition, PlaceOn, ScalePer
from dgrid.plan.folding import fold
from dgrid.plan.naming import instance_name
from dgrid.plan.room import NoPlaceError, Room
from dgrid.record import record


@record
class Placed:
    """One instance on its node. ``index`` counts from 1 within the container."""

    container: Container
    index: int
    name: str
    node: Node


def place(definition: Definition, allocation: Allocation, oversubscribe: bool = False) -> tuple[Placed, ...]:
    """Give every instance its node; the result is in definition order, then by index.

    Example: one head and ``worker`` with ``"scale": 3`` on n1, n2, n3 with a slot each, dgrid running on n1, and
    ``--oversubscribe``: head n1, worker-1 n2, worker-2 n3, worker-3 n2.

    * The head container goes to the node dgrid runs on.
    * Workers follow in definition order, each instance to the node with the most free slots; among equals the first
      in node-file order, counted in a circle from the node after the head's.
    * ``per_node`` is one instance on each node its placement allows; a node there without a free slot is an error.
      ``per_slot`` is one for each slot that is free, when its turn comes, on the nodes its placement allows.
    * ``on``, ``max_per_node`` and ``exclusive`` narrow the choice. An exclusive instance takes an empty node, and
      keeps it for itself.
    * Where definition order leaves a container without a place, the choosy ones go first: exclusive, on the head's
      node, per node, on others, then the rest, ``per_slot`` last; within each, definition order. So
      ``per_slot`` leaves room for the containers after it.

    ``oversubscribe`` lets nodes take more instances than slots; it changes nothing about ``per_slot``.
    Deterministic; time grows with instances plus nodes. Raises PlanError with every reason.
    """
    impossible = [*_contradictions(definition, allocation), *_too_many(definition, allocation, oversubscribe)]
    if impossible:
        raise PlanError("\n".join(impossible))
    workers = definition.workers
    seats, reasons = _place_in_order(definition, allocation, workers, oversubscribe)
    if reasons:
        choosy_first = tuple(sorted(workers, key=_choosiness))
        seats, still = _place_in_order(definition, allocation, choosy_first, oversubscribe)
        if still:
            raise PlanError("\n".join(still))
    return tuple(
        Placed(container, index, instance_name(container, index), node)
        for container in definition.containers
        for index, node in enumerate(seats[container.name], 1)
    )


def _place_in_order(
    definition: Definition, allocation: Allocation, workers: tuple[Container, ...], oversubscribe: bool
) -> tuple[dict[str, list[Node]], list[str]]:
    """Container name -> nodes of its instances, and a reason for each container that found no place."""
    room = Room(allocation, oversubscribe)
    seats: dict[str, list[Node]] = {definition.head.name: [room.take_here(definition.head)]}
    reasons = []
    for container in workers:
        try:
            seats[container.name] = list(_seats(container, room))
        except NoPlaceError as reason:
            reasons.append(str(reason))
    return seats, reasons


def _seats(container: Container, room: Room) -> Iterable[Node]:
    if container.scale is ScalePer.NODE:
        return room.take_each(container)
    if container.scale is ScalePer.SLOT:
        return room.take_slots(container)
    assert isinstance(container.scale, int)
    return room.take_best(container, container.scale)


def _choosiness(container: Container) -> int:
    if container.scale is ScalePer.SLOT:
        return 6
    if container.placement.exclusive:
        return 5 if container.scale is ScalePer.NODE else 0
    if container.placement.on is PlaceOn.HEAD:
        return 1
    if container.scale is ScalePer.NODE:
        return 2
    return 3 if container.placement.on is PlaceOn.OTHERS else 4


def _contradictions(definition: Definition, allocation: Allocation) -> Iterator[str]:
    """Placements that no allocation, or not this one, can fulfil."""
    if definition.head.placement.on is PlaceOn.OTHERS:
        yield (
            f'container "{definition.head.name}" is the head and runs on {allocation.here.name}, where dgrid runs — '
            'drop its "on": "others"'
        )
    for container in definition.workers:
        yield from (f'container "{container.name}": {reason}' for reason in _own(container, allocation))


def _own(container: Container, allocation: Allocation) -> Iterator[str]:
    placement, here = container.placement, allocation.here.name
    if placement.on is PlaceOn.HEAD and placement.exclusive:
        yield f'the head runs on {here}, so it cannot be exclusive there — drop "exclusive" or "on": "head"'
    if placement.on is PlaceOn.OTHERS and len(allocation.nodes) == 1:
        yield f'there is no other node than {here} — ask for more nodes, or drop "on": "others"'
    if placement.on is PlaceOn.HEAD and isinstance(container.scale, int):
        most = placement.max_per_node
        if most is not None and container.scale > most:
            yield f'{container.scale} instances on {here} are more than its "max_per_node" of {most} — change one'
    if container.scale is ScalePer.SLOT and placement.exclusive:
        yield '"scale": "per_slot" and "exclusive" contradict each other — use "scale": "per_node"'
    if container.scale is ScalePer.SLOT and allocation.slots is None:
        yield '"scale": "per_slot" needs slots, which only a job or --hostfile gives — set a number'


def _too_many(definition: Definition, allocation: Allocation, oversubscribe: bool) -> Iterator[str]:
    """The reason that counts instances and slots, where there are fewer slots."""
    if allocation.slots is None or oversubscribe:
        return
    wanted = sum(_fewest(container, allocation) for container in definition.containers)
    if wanted > allocation.slots:
        yield (
            f"the definition makes {wanted} instances, but {allocation.source} has {allocation.slots} "
            f"{'slot' if allocation.slots == 1 else 'slots'} on {fold(node.name for node in allocation.nodes)} — "
            'ask for more nodes or slots, lower "scale", or give --oversubscribe'
        )


def _fewest(container: Container, allocation: Allocation) -> int:
    if isinstance(container.scale, int):
        return container.scale
    if container.scale is ScalePer.SLOT or container.placement.exclusive:
        return 1
    nodes = len(allocation.nodes)
    return {PlaceOn.HEAD: 1, PlaceOn.OTHERS: nodes - 1, PlaceOn.ANY: nodes}[container.placement.on]
