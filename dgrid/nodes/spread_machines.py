"""Opening the nodes of a spread: those that cannot be reached do not keep the others from being."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dgrid.config import Settings
from dgrid.errors import NodeCheckError, NodeError
from dgrid.nodes.choose_engine import choose_engine
from dgrid.nodes.cluster import Cluster, Machine
from dgrid.nodes.fanout import errors_of, fan_out
from dgrid.nodes.link import LinkKind
from dgrid.nodes.open_link import LinkOpener
from dgrid.nodes.probe import probe
from dgrid.nodes.signals import StopSignals
from dgrid.plan.allocation import Node


@contextmanager
def open_machines(
    nodes: tuple[Node, ...], uid: int, settings: Settings, stop: StopSignals
) -> Iterator[tuple[tuple[Machine, ...], tuple[NodeError, ...]]]:
    """The machines of ``nodes`` whose engine answers the user, in order, and the errors of the others; closed at the
    end of the block. Nodes that are all this machine are one."""
    opener = LinkOpener(LinkKind(settings.link), settings.connect_timeout_s)
    local = tuple(node for node in nodes if node.is_local)
    groups = [(node,) for node in nodes if not node.is_local]
    all_groups = [local, *groups] if local else groups
    outcomes = fan_out(all_groups, lambda group: _open(group, uid, settings, opener), settings.parallel, stop)
    machines = tuple(outcome.value for outcome in outcomes if outcome.value is not None)
    with Cluster(machines, settings):
        yield machines, errors_of(outcomes)


def _open(nodes: tuple[Node, ...], uid: int, settings: Settings, opener: LinkOpener) -> Machine:
    link = opener.open(nodes[0])
    try:
        findings = probe(link, (), (), settings.connect_timeout_s)
        if findings.uid != uid:
            raise NodeCheckError(
                link.node, f"you have uid {findings.uid} there, but {uid} here; accounts must be the same"
            )
        engine, _ = choose_engine(link, findings, settings.engine, settings.engine_socket, settings.call_timeout_s)
        return Machine(nodes, link, engine)
    except NodeError:
        link.close()
        raise
