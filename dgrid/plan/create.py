"""From placed instances to the requests that create them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dgrid.plan.allocation import Allocation, Submitter
from dgrid.plan.assignment import Assigned
from dgrid.plan.definition import Container, HostfileFormat
from dgrid.plan.facts import EngineKind, NodeFacts
from dgrid.plan.files import files_to_place
from dgrid.plan.folding import fold
from dgrid.plan.hostfile import hostfile_path, hostfile_text
from dgrid.plan.naming import engine_name, labels, network_name
from dgrid.plan.network import Facts, Network, aliases
from dgrid.plan.placement import Placed
from dgrid.plan.request import CreateRequest, FileToPlace
from dgrid.plan.variables import Pairs, own_environment, shared_environment, with_gpus
from dgrid.record import record


@record
class Decided:
    """What is the same for all requests of a run.

    ``host_entries`` is empty unless the network is the nodes' own;
    ``ssh`` unless the run makes keys.
    """

    session: str
    allocation: Allocation
    submitter: Submitter
    hostfile_format: HostfileFormat
    network: Network
    host_entries: Pairs
    facts: Facts
    ssh: tuple[FileToPlace, ...]


def host_of(instance: Placed, network: Network) -> str:
    """The name others reach an instance by: its own, or its node's where it uses the node's own network."""
    return instance.node.name if network.maker is None else instance.name


def is_mapped(facts: Facts, node: str) -> bool:
    """Whether the node's engine puts containers into a user namespace, where the user's id must be kept by request."""
    known = facts.get(node, NodeFacts())
    return known.rootless and known.engine is EngineKind.PODMAN


def create_requests(
    placed: tuple[Placed, ...], assigned: tuple[Assigned, ...], run: Decided
) -> Iterator[CreateRequest]:
    """One request for each instance, with what it has of its node, in the same order."""
    hosts = [(instance.container, host_of(instance, run.network)) for instance in placed]
    by_name = {container.name: host for container, host in reversed(hosts)}
    hostfile = hostfile_text(run.hostfile_format, hosts)
    nodes = fold(instance.node.name for instance in placed)
    shared: dict[str, _Shared] = {}
    for instance, own in zip(placed, assigned, strict=True):
        name = instance.container.name
        if name not in shared:
            shared[name] = _share(instance.container, by_name, hostfile, run)
        yield _request(instance, shared[name], own, nodes, run)


@record
class _Shared:
    """What is the same for all instances of a container."""

    environment: Pairs
    files: tuple[FileToPlace, ...]


def _share(container: Container, hosts: Mapping[str, str], hostfile: bytes, run: Decided) -> _Shared:
    path = hostfile_path(container, run.hostfile_format)
    return _Shared(
        shared_environment(container, run.allocation, run.submitter, run.session, hosts, path),
        (*files_to_place(container, run.hostfile_format, hostfile, run.submitter.home), *run.ssh),
    )


def _request(instance: Placed, shared: _Shared, own: Assigned, nodes: str, run: Decided) -> CreateRequest:
    container, user = instance.container, run.submitter
    facts = run.facts.get(instance.node.name, NodeFacts())
    on_host = run.network.maker is None
    return CreateRequest(
        name=engine_name(instance.name, run.session),
        image=container.image,
        command=container.command,
        entrypoint=container.entrypoint,
        environment=with_gpus(shared.environment, own.gpus) + own_environment(instance),
        labels=labels(
            run.session,
            run.allocation.job_id,
            user.name,
            container=container.name,
            index=str(instance.index),
            node=instance.node.name,
            nodes=nodes,
            role="head" if container.interactive else "worker",
        ),
        mounts=container.mounts,
        files=shared.files,
        user=f"{user.uid}:{user.gid}",
        groups=tuple(str(gid) for gid in user.groups if gid != user.gid),
        hostname=None if on_host else instance.name,
        network="host" if on_host else network_name(run.session),
        aliases=() if on_host else aliases(container, instance.name),
        extra_hosts=run.host_entries,
        work_dir=container.work_dir,
        resources=container.resources,
        is_head=container.interactive,
        tty=container.tty,
        stop_signal=container.stop_signal,
        init=facts.has_init,
        keep_id=is_mapped(run.facts, instance.node.name),
        job_limits=own.limits,
        cpuset=own.cpuset,
        gpus=own.gpus,
    )
