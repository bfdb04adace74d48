"""One go of a spread: relays are started, the image runs down the chain, and every relay is ended again."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from dgrid.errors import NodeError
from dgrid.nodes.engine_images import EngineImages
from dgrid.nodes.fanout import fan_out
from dgrid.nodes.machine import Machine
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.spread_chain import Chain, Reach
from dgrid.nodes.spread_key import one_time_certificate
from dgrid.nodes.spread_station import Heard, NoRelay, Station, open_station
from dgrid.record import record

_LOOK_EVERY_S = 1.0


@record
class Cargo:
    """What travels: the image's archive as ``path`` of the source's engine gives it, ``without`` these members."""

    path: str
    without: tuple[str, ...]


@dataclass(slots=True)
class RoundEnd:
    """How a round ended for each target, by node name, with reasons; who is not in it has only to try again."""

    done: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    no_relay: dict[str, str] = field(default_factory=dict)
    cut_off: dict[str, str] = field(default_factory=dict)
    source_failed: str | None = None


def run_round(
    source: Machine,
    targets: Sequence[Machine],
    cargo: Cargo,
    ends_at: float,
    stop: StopSignals,
    progress: Callable[[Mapping[str, int]], None],
) -> RoundEnd:
    """Send an image from ``source`` down the chain of ``targets``; ``progress`` hears how many bytes each has.

    ``ends_at`` is of the monotonic clock; what has not come until then is left out of the result. Raises Stopped.
    """
    heard: Heard = SimpleQueue()
    machines = (source, *targets)
    end = RoundEnd()
    with _stations(machines, source, heard, stop, end) as stations:
        ready = [one.name for one in targets if one.name in stations]
        if end.source_failed is not None or not ready:
            return end
        addresses = _addresses(machines)
        reach = {name: Reach(addresses[name], port) for name, (_, port) in stations.items()}

        def tell(node: str, do: str, more: Mapping[str, Any]) -> None:
            stations[node][0].tell(do, more)

        chain = Chain(source.name, ready, cargo.path, cargo.without, reach, tell)
        chain.begin()
        with stop.waking(heard):
            _follow(chain, heard, ends_at, stop, progress)
    end.done, end.refused, end.cut_off = chain.done, chain.refused, chain.cut_off
    end.lost |= chain.lost
    end.source_failed = chain.source_failed
    return end


def _follow(
    chain: Chain, heard: Heard, ends_at: float, stop: StopSignals, progress: Callable[[Mapping[str, int]], None]
) -> None:
    while not chain.is_over and time.monotonic() < ends_at:
        stop.check()
        progress({node: chain.received[node] for node in chain.targets if node not in chain.lost})
        try:
            entry = heard.get(timeout=_LOOK_EVERY_S)
        except Empty:
            continue
        if entry is not None:
            chain.on(*entry)


@contextmanager
def _stations(
    machines: Sequence[Machine], source: Machine, heard: Heard, stop: StopSignals, end: RoundEnd
) -> Iterator[dict[str, tuple[Station, int]]]:
    """The relays of all machines that can have one; the reasons of the others are in ``end``."""
    certificate = one_time_certificate()
    stations: dict[str, tuple[Station, int]] = {}

    def start(machine: Machine) -> NoRelay | None:
        load = None if machine is source else EngineImages(machine.link, machine.engine).load_path()
        opened = open_station(machine, load, certificate, heard)
        if isinstance(opened, NoRelay):
            return opened
        stations[machine.name] = opened
        return None

    try:
        for outcome in fan_out(machines, start, len(machines), stop):
            name = outcome.item.name
            why = outcome.value.why if outcome.value else str(getattr(outcome.error, "what", ""))
            if why and outcome.item is source:
                end.source_failed = why
            elif isinstance(outcome.error, NodeError):
                end.lost[name] = why
            elif why:
                end.no_relay[name] = why
        yield stations
    finally:
        fan_out(list(stations.values()), lambda pair: pair[0].close(), max(len(stations), 1))


def _addresses(machines: Sequence[Machine]) -> dict[str, tuple[str, ...]]:
    """Each machine's addresses as the others may reach it: the one its ssh connection uses, then its name."""
    pairs = {machine.name: machine.link.addresses() for machine in machines}
    own = dict.fromkeys(mine for mine, _ in pairs.values() if mine is not None)
    addresses = {}
    for machine in machines:
        known = own if machine.nodes[0].is_local else [theirs for theirs in (pairs[machine.name][1],) if theirs]
        name = socket.gethostname() if machine.nodes[0].is_local else machine.name
        addresses[machine.name] = tuple(dict.fromkeys((*known, name, machine.name)))
    return addresses
