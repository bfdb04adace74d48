"""The plan: which instance goes to which node, under which name, with which request."""

from __future__ import annotations

from collections.abc import Iterator

from dgrid.plan.allocation import Allocation, Node, Submitter
from dgrid.plan.assignment import Assigned, assign
from dgrid.plan.create import Decided, create_requests, host_of, is_mapped
from dgrid.plan.definition import Container, Definition, NetworkMode
from dgrid.plan.facts import EngineKind, NodeFacts
from dgrid.plan.files import check_hostfile, warn_of_hostfile
from dgrid.plan.folding import fold
from dgrid.plan.naming import check_names, labels, name_patterns, network_name
from dgrid.plan.network import Facts, Network, check_ports, choose_network, host_entries
from dgrid.plan.order import start_order
from dgrid.plan.placement import Placed, place
from dgrid.plan.reasons import Reasons
from dgrid.plan.request import CreateRequest, FileToPlace, NetworkRequest
from dgrid.plan.ssh import UNMADE, RunKeys, ssh_files
from dgrid.record import record


@record
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

    @property
    def hostfile(self) -> str:
        """Where the hostfile is in the container, as $DGRID_HOSTFILE says."""
        return dict(self.request.environment)["DGRID_HOSTFILE"]


@record
class Plan:
    """All a run will do.

    ``instances`` in definition order, then by index. ``network_mode`` is never AUTO. ``networks`` has the network
    to be made, and is empty in mode HOST. ``start_order`` holds the workers' container names in levels: those of a
    level start together, when all of the levels before are ready. ``warnings`` are sentences for the user.
    """

    session: str
    submitter: Submitter
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


def make_plan(
    definition: Definition,
    allocation: Allocation,
    submitter: Submitter,
    session: str,
    facts: Facts,
    oversubscribe: bool = False,
    keys: RunKeys = UNMADE,
) -> Plan:
    """Decide everything about a run; touches nothing.

    ``facts`` is by node name; a node that is not in it counts as not asked (a dry run), and has the defaults of
    NodeFacts. ``keys`` are the run's own for ssh. ``oversubscribe`` lets nodes take more instances
    than slots. The same arguments give the same plan.
    Raises PlanError with all reasons at once, as far as they can be told apart: first those of names, order,
    placement and resources, then those of the network, the mounts and the engines.
    """
    reasons = Reasons()
    placed: tuple[Placed, ...] = ()
    assigned: tuple[Assigned, ...] = ()
    order: tuple[tuple[str, ...], ...] = ()
    with reasons.gather():
        order = start_order(definition)
    with reasons.gather():
        placed = place(definition, allocation, oversubscribe)
        assigned = assign(definition, placed, facts)
    reasons.extend(check_names((instance.container, instance.name) for instance in placed))
    reasons.raise_all()

    network, entries = _connect(definition, placed, facts)
    ssh = _ssh(definition, keys, submitter, placed, network)
    decided = Decided(session, allocation, submitter, definition.hostfile_format, network, entries, facts, ssh)
    requests = create_requests(placed, assigned, decided)
    return Plan(
        session=session,
        submitter=submitter,
        allocation=allocation,
        instances=tuple(
            Instance(one.container, one.index, one.name, one.node, host_of(one, network), request)
            for one, request in zip(placed, requests, strict=True)
        ),
        network_mode=network.mode,
        networks=_networks(network, session, allocation, submitter),
        start_order=order,
        warnings=(*_contradictions(allocation), *_warnings(definition), *_lost_groups(placed, submitter, facts)),
    )


def _connect(
    definition: Definition, placed: tuple[Placed, ...], facts: Facts
) -> tuple[Network, tuple[tuple[str, str], ...]]:
    """The network and the hosts entries. Whatever else the plan could fail of is checked here too."""
    reasons = Reasons()
    network = Network(NetworkMode.HOST, None)
    entries: tuple[tuple[str, str], ...] = ()
    for container in definition.containers:
        reasons.extend(check_hostfile(container, definition.hostfile_format))
    reasons.extend(_check_engines(placed, facts))
    with reasons.gather():
        network = choose_network(definition.network, placed, facts)
        if network.mode is NetworkMode.HOST:
            reasons.extend(check_ports(placed))
            entries = host_entries(placed, facts)
    reasons.raise_all()
    return network, entries


def _ssh(
    definition: Definition, keys: RunKeys, submitter: Submitter, placed: tuple[Placed, ...], network: Network
) -> tuple[FileToPlace, ...]:
    if definition.ssh_port is None:
        return ()
    names = [pattern for one in definition.containers for pattern in name_patterns(one)]
    hosts = dict.fromkeys((*names, *(host_of(one, network) for one in placed if network.maker is None)))
    return ssh_files(keys, submitter.name, definition.ssh_port, hosts)


def _networks(
    network: Network, session: str, allocation: Allocation, submitter: Submitter
) -> tuple[NetworkRequest, ...]:
    if network.maker is None:
        return ()
    marks = labels(session, allocation.job_id, submitter.name, node=network.maker)
    return (NetworkRequest(network.maker, network_name(session), network.mode.value, marks),)


def _check_engines(placed: tuple[Placed, ...], facts: Facts) -> Iterator[str]:
    for instance in placed:
        engine = facts.get(instance.node.name, NodeFacts()).engine
        if engine is EngineKind.PODMAN and instance.container.resources.gpus:
            yield (
                f'{instance.node.name}: container "{instance.container.name}" wants GPUs, which dgrid can ask of '
                'Docker only, and this node runs Podman — run it on nodes with Docker, or drop "gpus"'
            )


def _contradictions(allocation: Allocation) -> tuple[str, ...]:
    return allocation.told.contradictions if allocation.told else ()


def _warnings(definition: Definition) -> Iterator[str]:
    for container in definition.containers:
        if container.checkpointing:
            yield f'container "{container.name}": "checkpointing" does nothing yet'
        yield from warn_of_hostfile(container, definition.hostfile_format)


def _lost_groups(placed: tuple[Placed, ...], submitter: Submitter, facts: Facts) -> Iterator[str]:
    rootless = [name for name in dict.fromkeys(one.node.name for one in placed) if is_mapped(facts, name)]
    groups = [str(gid) for gid in submitter.groups if gid != submitter.gid]
    if rootless and groups:
        yield (
            f"{fold(rootless)}: containers of rootless Podman have your uid and gid, but not your other groups "
            f"({', '.join(groups)}); files that only those groups may use are closed to them"
        )
