"""The machine whose engine images are built and looked at on: this one, else a node of the allocation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dgrid.config import Settings
from dgrid.errors import EngineUnreachable, ManyNodesError, NodeError
from dgrid.nodes.docker_api import DockerApi
from dgrid.nodes.engine_http import api_client
from dgrid.nodes.link import Link, LinkKind
from dgrid.nodes.machine import open_machine
from dgrid.nodes.open_link import LinkOpener
from dgrid.plan.allocation import Node
from dgrid.record import record


@record
class Workshop:
    """One machine with its engine, to work on images. ``name`` is what messages call it."""

    node: Node
    link: Link
    engine: DockerApi

    @property
    def name(self) -> str:
        return self.node.name

    @contextmanager
    def sdk(self, timeout_s: float) -> Iterator[Any]:
        """A client of the docker SDK for the engine, with the user's registry logins; ``timeout_s`` bounds silence."""
        engine = self.engine
        client = api_client(lambda limit_s: self.link.dial(engine.socket_path, limit_s), engine.api_version, timeout_s)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def first_engine(nodes: tuple[Node, ...], uid: int, settings: Settings) -> Iterator[Workshop]:
    """The first of ``nodes`` whose engine answers the user, open within the block.

    Raises the NodeError of the only node, or ManyNodesError with each node's, when none does.
    """
    opener = LinkOpener(LinkKind(settings.link), settings.connect_timeout_s, settings.carrier)
    errors: list[NodeError] = []
    for node in nodes:
        try:
            machine = open_machine((node,), uid, settings, opener)
        except NodeError as error:
            errors.append(error)
            continue
        try:
            yield Workshop(node, machine.link, machine.engine)
        finally:
            machine.close()
        return
    if len(errors) == 1:
        raise _alone(errors[0])
    raise ManyNodesError(tuple(errors))


def _alone(error: NodeError) -> NodeError:
    """The error of a machine without an engine, with what else can be done."""
    if not isinstance(error, EngineUnreachable):
        return error
    return EngineUnreachable(
        error.node, f"{error.what}; in a job, or with --hostfile FILE, dgrid works on the first node with an engine"
    )
