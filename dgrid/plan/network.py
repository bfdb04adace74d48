"""The network of a run: which kind it is, who makes it, and how the instances find each other in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dgrid.errors import PlanError
from dgrid.plan.definition import Container, NetworkMode
from dgrid.plan.facts import EngineKind, NodeFacts
from dgrid.plan.folding import fold
from dgrid.plan.nodelist import is_address, same_host_key
from dgrid.plan.placement import Placed
from dgrid.record import record

Facts = Mapping[str, NodeFacts]
"""Node name -> facts. A node that is not in it was not asked, as in a dry run; the defaults are assumed for it."""


@record
class Network:
    """``mode`` is never AUTO. ``maker`` is the node whose engine makes the network, None in mode HOST."""

    mode: NetworkMode
    maker: str | None


def choose_network(wanted: NetworkMode, placed: tuple[Placed, ...], facts: Facts) -> Network:
    """The network for these instances, who all must find each other.

    AUTO: BRIDGE on one machine; OVERLAY where all nodes are active in one swarm and one of them manages it; else
    HOST. OVERLAY by name is taken to be possible as long as a node was not asked, and ascribed to the first.
    Raises PlanError where the mode asked for is not possible.
    """
    nodes = {instance.node.name: instance.node for instance in placed}
    machines = len({node.machine for node in nodes.values()})
    manager = _manager(tuple(nodes), facts)
    if wanted is NetworkMode.AUTO:
        overlay_or_host = NetworkMode.OVERLAY if manager else NetworkMode.HOST
        wanted = NetworkMode.BRIDGE if machines == 1 else overlay_or_host
    if wanted is NetworkMode.BRIDGE:
        if machines > 1:
            raise PlanError(
                f'"network": "bridge" reaches over one node only, but the containers go to {fold(nodes)} — '
                'use "auto", "host" or "overlay"'
            )
        return Network(wanted, placed[0].node.name)
    if wanted is NetworkMode.OVERLAY:
        if manager is None and all(node in facts for node in nodes):
            raise PlanError(_no_swarm(tuple(nodes), facts))
        return Network(wanted, manager or placed[0].node.name)
    return Network(wanted, None)


def aliases(container: Container, name: str) -> tuple[str, ...]:
    """Names of an instance in the run's own network: its own, and its container's, which all instances share."""
    return (name, container.name) if container.scaled else (name,)


def host_entries(placed: tuple[Placed, ...], facts: Facts) -> tuple[tuple[str, str], ...]:
    """(name, address) of every node, instance and container for mode HOST, where nothing else may resolve these names.

    The nodes' names stand in the hostfile, and not every site has them in DNS; containers know no NIS or LDAP. One
    value for all instances: their hosts files are equal. On a single machine an address nobody learnt is 127.0.0.1.
    A node that was not asked is shown as ``{node2}``. Raises PlanError for a node whose address could not be learnt,
    and for a container that has the name of a node.
    """
    reasons = [*_named_like_a_node(placed)]
    single = len({instance.node.machine for instance in placed}) == 1
    addresses = {name: _address(name, facts, single) for name in dict.fromkeys(one.node.name for one in placed)}
    unknown = [name for name, address in addresses.items() if address is None]
    if unknown:
        reasons.append(
            f"{fold(sorted(unknown))}: the address by which other nodes reach it is not known — "
            "ask the administrators to give the node's host name an address"
        )
    if reasons:
        raise PlanError("\n".join(reasons))
    entries: dict[tuple[str, str], None] = {
        (node, address): None for node, address in addresses.items() if address and not is_address(node)
    }
    for instance in placed:
        for name in aliases(instance.container, instance.name):
            entries[name, addresses[instance.node.name] or ""] = None
    return tuple(entries)


def check_ports(placed: tuple[Placed, ...]) -> tuple[str, ...]:
    """Reasons where two instances on one machine would take the same declared port of it, in mode HOST."""
    owners: dict[tuple[str, int], Placed] = {}
    reasons = []
    for instance in placed:
        for port in dict.fromkeys(instance.container.ports):
            other = owners.setdefault((instance.node.machine, port), instance)
            if other is not instance:
                reasons.append(
                    f"{instance.node.name}: {other.name} and {instance.name} would both listen on port {port} of the "
                    'node — give them different ports, keep them apart with "max_per_node": 1 or "exclusive", '
                    'or use "network": "overlay"'
                )
    return tuple(reasons)


def _manager(nodes: tuple[str, ...], facts: Facts) -> str | None:
    """A node that manages a swarm of which all the nodes are part; None where there is none."""
    known = [facts.get(node, NodeFacts()) for node in nodes]
    shared = frozenset.intersection(*(fact.swarm_managers for fact in known))
    if not shared:
        return None
    return next((node for node, fact in zip(nodes, known, strict=True) if fact.is_manager), None)


def _no_swarm(nodes: tuple[str, ...], facts: Facts) -> str:
    known = {node: facts.get(node, NodeFacts()) for node in nodes}
    podman = [node for node in nodes if known[node].engine is EngineKind.PODMAN]
    outside = [node for node in nodes if not known[node].swarm_managers]
    if podman:
        what = f"Podman, which {fold(podman)} has, knows no overlay networks"
        remedy = 'use "network": "host"'
    elif outside:
        what = f"{fold(outside)} is in no Docker swarm"
        remedy = (
            'let an administrator join all nodes ("docker swarm init" on one, "docker swarm join" on the others), '
            'or use "network": "host"'
        )
    else:
        what = f"no manager of a swarm shared by all of {fold(nodes)} is among them"
        remedy = 'let an administrator make one of them a manager ("docker node promote"), or use "network": "host"'
    return f'"network": "overlay" is not possible: {what} — {remedy}'


def _address(node: str, facts: Facts, single: bool) -> str | None:
    if node not in facts:
        return "127.0.0.1" if single else f"{{{node}}}"
    return facts[node].address or ("127.0.0.1" if single else None)


def _named_like_a_node(placed: tuple[Placed, ...]) -> Iterator[str]:
    """The nodes' own names must keep their meaning: in mode HOST the hostfile is made of them."""
    nodes = {same_host_key(instance.node.name) for instance in placed}
    reserved = {"localhost", *nodes, *(node.partition(".")[0] for node in nodes)}
    for container in dict.fromkeys(instance.container for instance in placed):
        if container.name.lower() in reserved:
            yield f'container "{container.name}" has the name of a node — choose another name for it'
