"""Room: the free slots of an allocation while a placement is being made."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from dgrid.plan.allocation import Allocation, Node
from dgrid.plan.definition import Container, PlaceOn
from dgrid.plan.folding import fold

# Stands for slots that nobody counts: more than any run can fill, so that "most free" still spreads evenly.
_UNCOUNTED = 2**40


class NoPlaceError(Exception):
    """A container, or one more instance of it, finds no node; the message is the reason."""


class Room:
    """The free slots while a placement is being made.

    ``_queue`` holds (-free, rank) of every node; an entry that no longer says what ``_free`` says is stale and is
    dropped when it comes up.
    """

    def __init__(self, allocation: Allocation, oversubscribe: bool) -> None:
        nodes = allocation.nodes
        after_head = nodes.index(allocation.here) + 1
        self._nodes = nodes[after_head:] + nodes[:after_head]  # by rank; the head's node is the last
        self._here = len(nodes) - 1
        self._file_order = [(rank - after_head) % len(nodes) for rank in range(len(nodes))]
        self._free = [_UNCOUNTED if node.slots is None else node.slots for node in self._nodes]
        self._full_size = tuple(self._free)
        self._closed = [False] * len(nodes)
        self._oversubscribe = oversubscribe
        self._queue = [(-free, rank) for rank, free in enumerate(self._free)]
        self._empty = list(self._queue)
        heapq.heapify(self._queue)
        heapq.heapify(self._empty)

    def take_here(self, head: Container) -> Node:
        """The head container's seat."""
        return self._take(self._here, head.placement.exclusive)

    def take_best(self, container: Container, count: int) -> list[Node]:
        """``count`` seats, each on the node with most free slots among those that the placement allows."""
        if container.placement.exclusive:
            return [self._take(self._next_empty(container), True) for _ in range(count)]
        if container.placement.on is PlaceOn.HEAD:
            return [self._take(self._need(self._here, container), False) for _ in range(count)]
        barred = {self._here} if container.placement.on is PlaceOn.OTHERS else set()
        try:
            return list(self._take_spread(container, count, barred))
        finally:
            for rank in barred:
                self._push(rank)

    def take_each(self, container: Container) -> list[Node]:
        """One seat on each node that the placement allows, in node-file order."""
        ranks = list(self._eligible(container))
        if container.placement.exclusive:
            ranks = [rank for rank in ranks if self._is_empty(rank)]
        if not ranks:
            raise NoPlaceError(no_place(container, self._nodes[self._here].name))
        full = [self._nodes[rank].name for rank in ranks if not self._has_room(rank)]
        if full:
            raise NoPlaceError(
                f'container "{container.name}" is to run on every node, but {fold(full)} has no free slot for it — '
                'ask for more slots a node, set "placement": {"on": "others"}, or give --oversubscribe'
            )
        return [self._take(rank, container.placement.exclusive) for rank in ranks]

    def take_slots(self, container: Container) -> list[Node]:
        """One seat for each free slot of the nodes that the placement allows, node by node in node-file order."""
        most = container.placement.max_per_node
        nodes = []
        for rank in list(self._eligible(container)):
            free = max(self._free[rank], 0)
            for _ in range(free if most is None else min(free, most)):
                nodes.append(self._take(rank, False))
        if not nodes:
            raise NoPlaceError(
                f'container "{container.name}" is to run once on each free slot, but no slot is left for it — '
                "ask for more nodes or slots"
            )
        return nodes

    def _take_spread(self, container: Container, count: int, barred: set[int]) -> Iterator[Node]:
        taken: dict[int, int] = {}
        for _ in range(count):
            rank = self._pop_best(container, barred)
            taken[rank] = taken.get(rank, 0) + 1
            if taken[rank] == container.placement.max_per_node:
                barred.add(rank)
            yield self._take(rank, False)

    def _eligible(self, container: Container) -> Iterator[int]:
        on = container.placement.on
        for rank in self._file_order:
            fits = on is PlaceOn.ANY or (rank == self._here) == (on is PlaceOn.HEAD)
            if fits and not self._closed[rank]:
                yield rank

    def _pop_best(self, container: Container, barred: set[int]) -> int:
        while self._queue:
            free, rank = self._queue[0]
            if self._closed[rank] or rank in barred or -free != self._free[rank]:
                heapq.heappop(self._queue)
            elif self._has_room(rank):
                return rank
            else:
                break
        raise NoPlaceError(no_place(container, self._nodes[self._here].name))

    def _next_empty(self, container: Container) -> int:
        while self._empty:
            _, rank = heapq.heappop(self._empty)
            if self._is_empty(rank):
                return rank
        raise NoPlaceError(no_place(container, self._nodes[self._here].name))

    def _need(self, rank: int, container: Container) -> int:
        if self._closed[rank] or not self._has_room(rank):
            raise NoPlaceError(no_place(container, self._nodes[self._here].name))
        return rank

    def _take(self, rank: int, alone: bool) -> Node:
        self._free[rank] -= 1
        self._closed[rank] = self._closed[rank] or alone
        self._push(rank)
        return self._nodes[rank]

    def _push(self, rank: int) -> None:
        heapq.heappush(self._queue, (-self._free[rank], rank))

    def _has_room(self, rank: int) -> bool:
        return self._oversubscribe or self._free[rank] > 0

    def _is_empty(self, rank: int) -> bool:
        return self._free[rank] == self._full_size[rank] and not self._closed[rank]


def no_place(container: Container, here: str) -> str:
    """Why no node is left for a container, in the words of its own placement, and what to do."""
    name, placement = f'container "{container.name}"', container.placement
    if placement.exclusive:
        return (
            f"{name} wants a node to itself for each of its instances, but no empty node is left — "
            'ask for more nodes, or drop "exclusive"'
        )
    if placement.on is PlaceOn.HEAD:
        return (
            f"{name} is to run on {here}, where dgrid runs, but no slot is left there — "
            'ask for more slots a node, drop "on": "head", or give --oversubscribe'
        )
    if placement.max_per_node is not None:
        return (
            f"{name}: with at most {placement.max_per_node} on a node not all of its instances find a place — "
            'ask for more nodes, or raise "max_per_node"'
        )
    if placement.on is PlaceOn.OTHERS:
        return (
            f"{name}: no slot is left on other nodes than {here}, where dgrid runs — "
            'ask for more nodes, drop "on": "others", or give --oversubscribe'
        )
    return (
        f"{name}: no slot is left for all of its instances beside those that have a node to themselves — "
        "ask for more nodes, or give --oversubscribe"
    )
