"""What a spread's chain tells the relays when one of them fails."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from dgrid.nodes.spread_chain import Chain, Reach
from dgrid.nodes.spread_window import Window

NAMES = ("a", "b", "c", "d")


class Told:
    """Remembers what the relays are told: ``("c", "receive", "a")``."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, str]] = []

    def __call__(self, node: str, do: str, more: dict[str, Any]) -> None:
        self.all.append((node, do, more.get("source") or more.get("node") or more.get("path", "")))

    def since(self) -> list[tuple[str, str, str]]:
        told, self.all = self.all, []
        return told


def chain() -> tuple[Chain, Told]:
    """``a`` has the image, and the others are on their way to connect."""
    told = Told()
    made = Chain("a", NAMES[1:], "/get", (), {name: Reach((name,), 1) for name in NAMES}, told)
    made.begin()
    return made, told


def connected() -> tuple[Chain, Told]:
    made, told = chain()
    for before, node in pairwise(NAMES):
        made.on(node, {"event": "connected", "source": before})
    told.since()
    return made, told


def test_the_stream_begins_when_all_are_connected() -> None:
    """Else the last ones might miss its beginning."""
    made, told = chain()
    assert told.since() == [("b", "receive", "a"), ("c", "receive", "b"), ("d", "receive", "c")]
    made.on("d", {"event": "connected", "source": "c"})
    made.on("b", {"event": "connected", "source": "a"})
    assert told.since() == []
    made.on("c", {"event": "connected", "source": "b"})
    assert told.since() == [("a", "fetch", "/get")]


def test_who_is_behind_a_lost_node_takes_from_the_one_before_it() -> None:
    """And the one before keeps the lost one's place until then."""
    made, told = connected()
    made.on("c", {"event": "lost", "why": "gone dark"})
    assert told.since() == [("d", "receive", "b")]
    made.on("d", {"event": "connected", "source": "b"})
    assert told.since() == [("b", "release", "c")]
    made.on("b", {"event": "loaded"})
    assert not made.is_over
    made.on("d", {"event": "loaded"})
    assert (made.is_over, made.done, made.lost) == (True, {"b", "d"}, {"c": "gone dark"})


def test_the_last_one_s_place_is_given_up_at_once() -> None:
    """Nobody comes in its stead, so the one before must not wait for it."""
    made, told = connected()
    made.on("d", {"event": "lost", "why": "gone"})
    assert told.since() == [("c", "release", "d")]


def test_a_cut_is_tried_again_and_a_refused_connection_is_not() -> None:
    """A relay that was reached may be again; one that cannot be reached is gone around."""
    made, told = connected()
    made.on("d", {"event": "cut", "source": "c", "reached": True, "why": "reset"})
    assert told.since() == [("d", "receive", "c")]
    made.on("d", {"event": "cut", "source": "c", "reached": False, "why": "refused"})
    assert told.since() == [("c", "release", "d"), ("d", "receive", "b")]
    made.on("d", {"event": "cut", "source": "c", "reached": False, "why": "late news of what it has left"})
    assert told.since() == []


def test_who_reaches_nobody_is_cut_off_and_keeps_nobody_waiting() -> None:
    """It gets the image in another way; the stream begins without it."""
    made, told = chain()
    made.on("b", {"event": "cut", "source": "a", "reached": False, "why": "refused"})
    assert made.cut_off == {"b": "refused"}
    assert ("c", "receive", "a") in told.since()
    made.on("c", {"event": "connected", "source": "a"})
    made.on("d", {"event": "connected", "source": "c"})
    assert ("a", "fetch", "/get") in told.since()


def test_an_engine_that_refuses_ends_its_node_and_not_the_chain() -> None:
    """Its relay goes on passing the image to the next."""
    made, told = connected()
    made.on("b", {"event": "refused", "why": "no space left on device"})
    assert told.since() == []
    assert made.refused == {"b": "no space left on device"}
    assert not made.is_over


def test_without_its_source_a_chain_is_over() -> None:
    """Whoever does not have all of the image by then needs another source."""
    made, _ = connected()
    made.on("a", {"event": "lost", "why": "gone"})
    assert (made.is_over, made.source_failed) == (True, "gone")


def test_a_window_keeps_what_a_taker_may_come_back_for() -> None:
    """32 MiB behind the slowest taker; who wants what is older has to begin anew."""
    window = Window()
    assert window.join("engine", 0)
    megabyte = bytes(1 << 20)
    for _ in range(40):
        window.put(megabyte)
        assert window.take("engine", 1) == megabyte
    window.finish()
    assert window.take("engine", 1) == b""
    assert not window.join("late", 7 << 20)
    assert window.join("late", 8 << 20)
    assert window.take("late", 1) == megabyte
    assert window.join("later", (40 << 20) - 3)
    assert window.take("later", 1) == bytes(3)
