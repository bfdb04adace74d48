"""The plan: which instance goes to which node, under which name, with which request."""

from __future__ import annotations

from dataclasses import dataclass

from dgrid.plan.allocation import Allocation, Node
from dgrid.plan.definition import Container, NetworkMode
from dgrid.plan.request import CreateRequest, NetworkRequest


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a container on its node.

    ``index`` counts from 1 within the container; ``name`` is ``worker-2``, or ``database`` where there is but one;
    ``host`` is the name the other instances reach it by, as in the hostfile.
    """

    container: Container
    index: int
    name: str
    node: Node
    host: str
    request: CreateRequest


@dataclass(frozen=True, slots=True)
class Plan:
    """All a run will do.

    ``instances`` in definition order, then by index. ``network_mode`` is never AUTO. ``networks`` has the network
    to be made, and is empty in mode HOST. ``start_order`` holds the workers' container names in levels: those of a
    level start together, when all of the levels before are ready. ``warnings`` are sentences for the user.
    """

    session: str
    allocation: Allocation
    instances: tuple[Instance, ...]
    network_mode: NetworkMode
    networks: tuple[NetworkRequest, ...]
    start_order: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...] = ()

    @property
    def head(self) -> Instance:
        """The instance of the interactive container."""
        return next(instance for instance in self.instances if instance.container.interactive)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that get at least one instance, in node-file order."""
        used = {instance.node.name for instance in self.instances}
        return tuple(node for node in self.allocation.nodes if node.name in used)
