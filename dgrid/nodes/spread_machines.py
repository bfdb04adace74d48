"""Opening the nodes of a spread: those that cannot be reached do not keep the others from being."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dgrid.config import Settings
from dgrid.errors import NodeError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.fanout import errors_of, fan_out
from dgrid.nodes.link import LinkKind
from dgrid.nodes.machine import Machine, by_machine, open_machine
from dgrid.nodes.open_link import LinkOpener
from dgrid.nodes.signals import StopSignals
from dgrid.plan.allocation import Node


@contextmanager
def open_machines(
    nodes: tuple[Node, ...], uid: int, settings: Settings, stop: StopSignals
) -> Iterator[tuple[tuple[Machine, ...], tuple[NodeError, ...]]]:
    """The machines of ``nodes`` whose engine answers the user, in order, and the errors of the others; closed at the
    end of the block. Nodes that are all this machine are one."""
    opener = LinkOpener(LinkKind(settings.link), settings.connect_timeout_s, settings.carrier)
    outcomes = fan_out(
        by_machine(nodes), lambda group: open_machine(group, uid, settings, opener), settings.parallel, stop
    )
    machines = tuple(outcome.value for outcome in outcomes if outcome.value is not None)
    with Cluster(machines, settings):
        yield machines, errors_of(outcomes)
