"""The order in which an image travels: each node takes it from the one before, and from another when that is lost.

No I/O: it is told what the relays say, and says what to tell them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dgrid.record import record

_TRIES = 3


@record
class Reach:
    """Where a relay listens: addresses that may be tried in turn, as other nodes know them, and the port."""

    addresses: tuple[str, ...]
    port: int


class Chain:
    """``Chain("node1", ("node2", "node3"), "/images/a/get", (), reach, tell)``: node1 has the image, two lack it.

    ``tell(node, do, more)`` sends a command to a relay (their list is in spread_relay). When ``is_over``, each target
    is in one of ``done``, ``refused`` (its engine does not take the image), ``lost`` and ``cut_off`` (alive, but it
    reaches no node that has the stream) with the reason, or ``source_failed`` says why none of the rest can get it.
    """

    def __init__(
        self,
        source: str,
        targets: Sequence[str],
        path: str,
        without: Sequence[str],
        reach: Mapping[str, Reach],
        tell: Callable[[str, str, dict[str, Any]], None],
    ) -> None:
        self.source = source
        self.targets = tuple(targets)
        self.done: set[str] = set()
        self.refused: dict[str, str] = {}
        self.lost: dict[str, str] = {}
        self.cut_off: dict[str, str] = {}
        self.source_failed: str | None = None
        self.received = dict.fromkeys((source, *targets), 0)
        self._fetch = {"path": path, "without": list(without)}
        self._reach = reach
        self._tell = tell
        self._order = [source, *targets]
        self._upstream: dict[str, str] = {}
        self._connecting = set(targets)
        self._started = False
        self._failures: Counter[tuple[str, str]] = Counter()
        self._places_kept: dict[str, tuple[str, str]] = {}

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        ended = self.done | self.refused.keys() | self.lost.keys() | self.cut_off.keys()
        return self.source_failed is not None or ended >= set(self.targets)

    def begin(self) -> None:
        """Connect all nodes; the stream starts when they are, so that nobody misses its beginning."""
        for before, node in zip(self._order, self._order[1:], strict=False):
            self._attach(node, before)

    def on(self, node: str, event: Mapping[str, Any]) -> None:
        """Take note of what a relay says (its ``event``), or of its loss (``lost``), and react."""
        kind, why = event["event"], str(event.get("why", ""))
        if node not in self._order:
            return
        if kind == "lost":
            self._on_lost(node, why)
        elif kind == "no source":
            self.source_failed = why
        elif kind == "alive":
            self.received[node] = event["received"]
        elif kind == "loaded":
            self.done.add(node)
        elif kind == "refused":
            self.refused[node] = why
        elif event["source"] == self._upstream[node]:
            self._on_connection(node, kind, event)

    def _on_connection(self, node: str, kind: str, event: Mapping[str, Any]) -> None:
        before = self._upstream[node]
        if kind == "connected":
            self._connecting.discard(node)
            self._forget_places(node)
        elif kind == "cut":
            self._failures[node, before] += 1 if event["reached"] else _TRIES
            self._find_another(node, before, str(event["why"]))
        elif kind == "gone":
            self._cut_off(node, "it was behind for too long and has to begin anew")
        self._start_when_connected()

    def _on_lost(self, node: str, why: str) -> None:
        if node == self.source:
            self.source_failed = why
            return
        if node not in self.done and node not in self.refused:
            self.lost[node] = why
        self._take_out(node, why)
        self._start_when_connected()

    def _cut_off(self, node: str, why: str) -> None:
        if node not in self.done and node not in self.refused:
            self.cut_off[node] = why
        self._take_out(node, why)

    def _take_out(self, node: str, why: str) -> None:
        """Close the gap: who took the stream from it takes it from the one before."""
        before = self._upstream[node]
        followers = [one for one in self._order if self._upstream.get(one) == node and one not in self.done]
        behind = self._order[: self._order.index(node)]
        self._order.remove(node)
        self._connecting.discard(node)
        self._forget_places(node)
        if before in self._order and not followers:
            self._tell(before, "release", {"node": node})
        for follower in followers:
            # The one before keeps what the lost node had not yet taken until its follower has come.
            self._places_kept[follower] = (before, node)
            self._find_another(follower, behind[-1], why)

    def _find_another(self, node: str, start: str, why: str) -> None:
        if start in self._order:
            for before in reversed(self._order[: self._order.index(start) + 1]):
                if self._failures[node, before] < _TRIES:
                    self._attach(node, before)
                    return
        self._cut_off(node, why)

    def _attach(self, node: str, before: str) -> None:
        old, self._upstream[node] = self._upstream.get(node), before
        if old is not None and old != before and old in self._order:
            self._tell(old, "release", {"node": node})
        reach = self._reach[before]
        self._tell(node, "receive", {"source": before, "addresses": list(reach.addresses), "port": reach.port})

    def _forget_places(self, node: str) -> None:
        before, lost = self._places_kept.pop(node, ("", ""))
        if before in self._order:
            self._tell(before, "release", {"node": lost})

    def _start_when_connected(self) -> None:
        if not self._started and not self._connecting and not self.is_over:
            self._started = True
            self._tell(self.source, "fetch", self._fetch)
