"""The nodes of a run with their links and engines open: checked all at once, closed all at once."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import PurePosixPath

from dgrid.config import Settings
from dgrid.errors import DgridError
from dgrid.nodes.attach_to_job import Job
from dgrid.nodes.engine import Engine
from dgrid.nodes.fanout import fan_out, values_of
from dgrid.nodes.link import LinkKind
from dgrid.nodes.machine import Machine, by_machine, open_guard, open_machine, warned
from dgrid.nodes.open_link import LinkOpener
from dgrid.nodes.signals import StopSignals
from dgrid.plan.allocation import Node
from dgrid.plan.facts import NodeFacts
from dgrid.plan.files import mount_at
from dgrid.plan.job_cgroup import EngineCgroups, decide
from dgrid.plan.job_limits import NOTHING, Affinity, JobLimits
from dgrid.plan.plan import Plan
from dgrid.plan.request import CreateRequest
from dgrid.record import record


@record
class Cluster:
    """All machines of a run, in node-file order. Use as a context manager: leaving it cuts every connection.

    ``job`` is the job they are nodes of, as far as it matters here: nothing, where nothing is started.
    """

    machines: tuple[Machine, ...]
    settings: Settings
    job: Job = field(default_factory=Job)
    _by_node: Mapping[str, Machine] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once, and not at each look-up: a run makes one for each of its instances.
        by_node = {node.name: machine for machine in self.machines for node in machine.nodes}
        object.__setattr__(self, "_by_node", by_node)

    def engine(self, node: Node) -> Engine:
        """The engine of a node."""
        return self.machine(node).engine

    def machine(self, node: Node) -> Machine:
        """The machine a node is."""
        return self._by_node[node.name]

    def facts(self) -> Mapping[str, NodeFacts]:
        """What the plan needs to know of each node, by node name. Raises NodeCheckError."""
        addresses = _addresses(self.machines)
        return {
            node.name: _facts(machine, addresses[machine.name], self._job_limits(machine), self._affinity(machine))
            for machine in self.machines
            for node in machine.nodes
        }

    def _job_limits(self, machine: Machine) -> JobLimits:
        info = machine.engine.info
        cgroups = EngineCgroups(info.cgroup_driver, info.cgroup_version, info.rootless)
        decided = decide(machine.cgroups, cgroups, self.job.job_id)
        return {"copy": decided.without_parent(), "none": NOTHING}.get(self.settings.job_limits, decided)

    def _affinity(self, machine: Machine) -> Affinity | None:
        if machine.affinity is None or self.settings.job_limits == "none":
            return None
        return replace(machine.affinity, of_job=machine.link.in_job and self.job.job_id is not None)

    def close(self) -> None:
        """Cut all connections, each in its own thread: one that hangs delays no other."""
        fan_out(self.machines, Machine.close, len(self.machines))

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_cluster(plan: Plan, uid: int, settings: Settings, stop: StopSignals) -> Cluster:
    """Reach, log in to and check every node of the plan at once. Raises ManyNodesError with all that fail."""
    opener = LinkOpener(LinkKind(settings.link), settings.connect_timeout_s, settings.carrier)
    opened: list[Machine] = []
    by_node: defaultdict[str, list[CreateRequest]] = defaultdict(list)
    for instance in plan.instances:
        by_node[instance.node.name].append(instance.request)

    def open_one(nodes: tuple[Node, ...]) -> Machine:
        requests = [request for node in nodes for request in by_node[node.name]]
        sources = tuple(sorted({mount.source for request in requests for mount in request.mounts}))
        writable = tuple(sorted({path for request in requests for path in _written_through(request)}))
        machine = open_machine(nodes, uid, settings, opener, sources, writable)
        if nodes[0].is_local and plan.allocation.batch_system is not None:
            machine = replace(machine, guard=open_guard(nodes[0], settings))
        machine = warned(machine, plan.allocation)
        opened.append(machine)
        return machine

    try:
        machines = values_of(fan_out(by_machine(plan.nodes), open_one, settings.parallel, stop))
        return Cluster(machines, settings, Job(plan.allocation.ended_by, plan.allocation.job_id))
    except DgridError:
        # Some failed, or a signal came: the others are not to stay connected.
        Cluster(tuple(opened), settings).close()
        raise


def _written_through(request: CreateRequest) -> Iterator[str]:
    """Directories on the node that files put into a container end up in, because they are mounted there."""
    for file in request.files:
        mount = mount_at(request.mounts, file.path)
        if mount is not None:
            yield str(PurePosixPath(mount.source, PurePosixPath(file.path).relative_to(mount.target)).parent)


def _facts(machine: Machine, address: str | None, job_limits: JobLimits, affinity: Affinity | None) -> NodeFacts:
    info = machine.engine.info
    return NodeFacts(
        engine=info.kind,
        rootless=info.rootless,
        has_init=info.has_init,
        address=address,
        swarm_managers=info.swarm_managers,
        is_manager=info.is_manager,
        job_limits=job_limits,
        affinity=affinity,
    )


def _addresses(machines: tuple[Machine, ...]) -> dict[str, str | None]:
    """Each machine's address as the others reach it, None if it cannot be learnt; a lone machine needs none."""
    theirs = {machine.name: _address_of(machine) for machine in machines if not machine.nodes[0].is_local}
    other = next((address for address in theirs.values() if address is not None), None)
    ours = None if other is None else _own_address(other)
    return {machine.name: theirs.get(machine.name, ours) for machine in machines}


def _address_of(machine: Machine) -> str | None:
    address = machine.link.addresses()[1]
    if address is not None:
        return address
    try:
        return str(socket.getaddrinfo(machine.name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return None  # ssh goes by a jump, and its name is for ssh only


def _own_address(other: str) -> str:
    """This machine's address on the way to another; a datagram socket's connect sends nothing."""
    family = socket.AF_INET6 if ":" in other else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe_socket:
        probe_socket.connect((other, 9))
        return str(probe_socket.getsockname()[0])
