"""Creating and starting the containers of a plan."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

from dgrid.errors import DgridError, EngineError, JobCgroupRefused, ManyNodesError, NodeError, StartError
from dgrid.nodes.accounts import Accounts
from dgrid.nodes.attach_to_job import Job, attach_containers, attaches
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.engine import Engine
from dgrid.nodes.fanout import errors_of, fan_out, raise_all, values_of
from dgrid.nodes.pull import ImageIds
from dgrid.nodes.ready import wait_ready
from dgrid.nodes.signals import StopSignals
from dgrid.plan.facts import EngineKind
from dgrid.plan.plan import Instance, Plan
from dgrid.plan.request import CreateRequest

_CREATES_TO_A_CONNECTION, _STARTS_TO_A_CONNECTION = 2, 8
# The words of runc and crun, by which `docker run` decides, too (docker/cli, container/run.go); the last is Podman's.
_MISSING = ("executable file not found", "no such file or directory", "command that was not found")
_FORBIDDEN = ("permission denied", "is a directory", "exec format error")

ContainerIds = Mapping[str, str]
"""The engine's id of each instance, by instance name."""


def create_all(plan: Plan, cluster: Cluster, stop: StopSignals, image_ids: ImageIds) -> ContainerIds:
    """Make the run's network, where the plan has one, and create every container, on all nodes at once.

    Raises ManyNodesError with all that fail.
    """
    accounts, networks = Accounts(plan.submitter, image_ids), _Networks(plan, cluster)
    at_once = _CREATES_TO_A_CONNECTION * cluster.settings.parallel
    outcomes = fan_out(
        (None, *plan.instances),
        lambda one: networks.make() if one is None else _create(one, cluster, accounts, networks),
        at_once,
        stop,
    )
    raise_all(errors_of(outcomes[:1]))  # without a network, what became of the containers does not matter
    ids = values_of(outcomes[1:])
    return {one.name: str(container_id) for one, container_id in zip(plan.instances, ids, strict=True)}


class _Networks:
    """The run's network, made while the containers are created: it takes Docker longer than several of these."""

    def __init__(self, plan: Plan, cluster: Cluster) -> None:
        self._plan = plan
        self._cluster = cluster
        self._done = threading.Event()

    def make(self) -> None:
        """Raises EngineError."""
        nodes = {node.name: node for node in self._plan.nodes}
        try:
            for request in self._plan.networks:
                self._cluster.engine(nodes[request.node]).create_network(request)
        finally:
            self._done.set()

    def wait(self) -> None:
        """Until it is there, or cannot be."""
        self._done.wait()


def start_workers(plan: Plan, ids: ContainerIds, cluster: Cluster, stop: StopSignals) -> None:
    """Start the workers level by level; the next level when all of one are ready. Raises ManyNodesError."""
    for names in plan.start_order:
        level = tuple(instance for instance in plan.instances if instance.container.name in names)
        values_of(fan_out(level, lambda one: _start(one, ids[one.name], cluster), _at_once(cluster), stop))
        _attach(level, ids, cluster, stop)
        waited_for = tuple(instance for instance in level if instance.container.ready is not None)
        values_of(fan_out(waited_for, lambda one: wait_ready(one, ids[one.name], cluster), len(waited_for), stop))


def _at_once(cluster: Cluster) -> int:
    """Starting is the engines' work, and waiting: more at a time than connections and creates, which cost this one."""
    return _STARTS_TO_A_CONNECTION * cluster.settings.parallel


def start(instance: Instance, container_id: str, cluster: Cluster) -> None:
    """Start one instance, and make it the job's where PBS or Torque has a way to.

    Raises StartError, with 126 or 127 when its command cannot be run or found.
    """
    try:
        _start(instance, container_id, cluster)
    except JobCgroupRefused as error:
        if instance.container.interactive:
            raise
        # A worker that was to start again: the head runs, and nothing can begin anew.
        raise StartError(error.node, error.what, error.exit_code) from error
    attach_containers(cluster.machine(instance.node), (container_id,), cluster.job)


def _start(instance: Instance, container_id: str, cluster: Cluster) -> None:
    engine = cluster.engine(instance.node)
    try:
        engine.start(container_id)
    except EngineError as error:
        # The engine's text is the runtime's; its exit code for the container says which kind of failure it was.
        code, text = _exit_code(instance, error.what), f"cannot start {instance.name}: {_reason(error.what)}"
        if _is_of_cgroup(error, instance.request):
            raise JobCgroupRefused(instance.node.name, text, code) from error
        raise StartError(instance.node.name, text, code) from error


def _attach(level: tuple[Instance, ...], ids: ContainerIds, cluster: Cluster, stop: StopSignals) -> None:
    """All of a level at once: one command a machine."""
    machines = tuple(machine for machine in cluster.machines if attaches(machine, cluster.job))
    by_machine = {machine.name: [ids[one.name] for one in level if one.node in machine.nodes] for machine in machines}
    fan_out(
        machines,
        lambda machine: attach_containers(machine, by_machine[machine.name], cluster.job),
        cluster.settings.parallel,
        stop,
    )


def _create(instance: Instance, cluster: Cluster, accounts: Accounts, networks: _Networks) -> str:
    engine, request = cluster.engine(instance.node), instance.request
    if engine.info.kind is EngineKind.PODMAN:
        networks.wait()  # it looks for the network at once, Docker when the container starts
    try:
        container_id = _create_in_job(engine, request, cluster.job)
        engine.place(container_id, (*request.files, *accounts.files(engine, container_id, request)), request.user)
        return container_id
    except NodeError as error:
        raise StartError(instance.node.name, error.what) from error


def _create_in_job(engine: Engine, request: CreateRequest, job: Job) -> str:
    """In the job's cgroup; where the engine does not take it, with the job's limits."""
    try:
        return engine.create(request)
    except EngineError as error:
        if not _is_of_cgroup(error, request):
            raise
        job.remark(
            f"{engine.node}: the engine does not put containers into the job's cgroup, so each of them gets its "
            f"limits: {error.what.removeprefix(f'cannot create {request.name}: ')}"
        )
        return engine.create(replace(request, job_limits=request.job_limits.without_parent()))


def refuses_job_cgroup(error: DgridError) -> bool:
    """Whether a run failed for the job's cgroup on some node: it could do with the job's limits alone."""
    errors = error.errors if isinstance(error, ManyNodesError) else (error,)
    return any(isinstance(one, JobCgroupRefused) for one in errors)


def _is_of_cgroup(error: EngineError, request: CreateRequest) -> bool:
    return request.job_limits.parent is not None and "cgroup" in error.what.lower()


def _exit_code(instance: Instance, text: str) -> int:
    """As `docker run` ends: 127 for a command that is not found, 126 for one that cannot be run, 125 for the rest."""
    if not instance.container.interactive:
        return 125
    if any(words in text.lower() for words in _MISSING):
        return 127
    return 126 if any(words in text.lower() for words in _FORBIDDEN) else 125


def _reason(text: str) -> str:
    """The runtime's last word, without the chain of functions before it."""
    text = text.removeprefix("cannot start the container: ")
    for mark in ("exec: ", "starting container process caused: "):
        if mark in text:
            return text.rpartition(mark)[2].strip()
    return text
