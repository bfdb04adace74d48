"""The story of one run, from a definition and an allocation to the head container's exit code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dgrid.config import Settings
from dgrid.errors import DgridError, NodeError
from dgrid.images.planning import planning_findings
from dgrid.nodes.brought import Brought
from dgrid.nodes.cluster import Cluster, open_cluster
from dgrid.nodes.leashes import Leashes, put_on_leash
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.output import LogDirectory
from dgrid.nodes.pull import ImageIds, images_on_all
from dgrid.nodes.run_keys import make_run_keys
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.start import ContainerIds, create_all, make_networks, refuses_job_cgroup, start_workers
from dgrid.nodes.supervise import Supervisor
from dgrid.nodes.teardown import tear_down
from dgrid.nodes.terminal import Streams
from dgrid.plan.allocation import Allocation, Submitter
from dgrid.plan.definition import Definition, NetworkMode, PullPolicy
from dgrid.plan.facts import NodeFacts
from dgrid.plan.naming import LABEL_SESSION
from dgrid.plan.plan import Plan, make_plan
from dgrid.plan.ssh import UNMADE, RunKeys
from dgrid.report import gather

_LEFT_TO_LEASH = "the leash there removes what is left of the run"


@dataclass(frozen=True, slots=True)
class Order:
    """What the user asked for: everything a run depends on besides the nodes themselves."""

    definition: Definition
    allocation: Allocation
    submitter: Submitter
    session: str
    settings: Settings
    oversubscribe: bool = False
    pull: PullPolicy | None = None
    allow_different_images: bool = False
    log_dir: Path | None = None


def run(order: Order, streams: Streams, stop: StopSignals, narrator: Narrator) -> int:
    """Run the whole job and return the head container's exit code; nothing of it is left when this returns or raises.

    Raises a DgridError with the exit code the process is to end with.
    """
    try:
        return _run(order, streams, stop, narrator)
    except DgridError as error:
        if not refuses_job_cgroup(error):
            raise
        narrator.note(f"{error}\nbeginning again, with the job's limits for each container and not in the job's cgroup")
    limited = replace(order, settings=replace(order.settings, job_limits="copy"))
    return _run(limited, streams, stop, narrator)


def _run(order: Order, streams: Streams, stop: StopSignals, narrator: Narrator) -> int:
    logs = LogDirectory(order.log_dir) if order.log_dir else None
    draft = _plan(order, {}, UNMADE)
    _tell(draft.warnings, narrator)
    narrator.phase(f"checking {_count(len(draft.nodes), 'node')}")
    with open_cluster(draft, order.submitter.uid, order.settings, stop) as cluster:
        for remark in gather((one.name, one.remark) for one in cluster.machines if one.remark):
            narrator.milestone(remark)
        plan = _plan(order, cluster.facts(), make_run_keys(order.session))
        _tell([warning for warning in plan.warnings if warning not in draft.warnings], narrator)
        ids: dict[str, str] = {}
        with (
            _images(plan, cluster, order, stop, narrator) as image_ids,
            _torn_down(plan, ids, cluster, stop, narrator) as leashes,
        ):
            _warn_of_images(plan, cluster, narrator)
            narrator.phase(f"creating {_count(len(plan.instances), 'container')}")
            leashes.creating()
            make_networks(plan, cluster)
            ids.update(create_all(plan, cluster, stop, image_ids))
            leashes.created(_by_machine(plan, ids, cluster))
            supervisor = Supervisor(plan, ids, cluster, streams, stop, narrator, logs, leashes)
            supervisor.watch_workers()
            if plan.start_order:
                narrator.phase(f"starting {_count(len(plan.instances) - 1, 'worker')}")
                start_workers(plan, ids, cluster, stop)
            narrator.milestone(f"{plan.head.name} runs on {plan.head.node.name}")
            try:
                return supervisor.run_head()
            finally:
                _tell(cluster.job.untold(), narrator)


def _by_machine(plan: Plan, ids: ContainerIds, cluster: Cluster) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for instance in plan.instances:
        found.setdefault(cluster.machine(instance.node).name, []).append(ids[instance.name])
    return found


def _tell(warnings: Iterable[str], narrator: Narrator) -> None:
    for warning in warnings:
        narrator.note(warning)


def _plan(order: Order, facts: Mapping[str, NodeFacts], keys: RunKeys) -> Plan:
    return make_plan(
        order.definition, order.allocation, order.submitter, order.session, facts, order.oversubscribe, keys
    )


@contextmanager
def _images(plan: Plan, cluster: Cluster, order: Order, stop: StopSignals, narrator: Narrator) -> Iterator[ImageIds]:
    """Within it the images are on all nodes, which are these; those it brought are removed at its end, where wanted."""
    brought = Brought(remove=order.settings.images == "remove")
    policy = order.pull or order.definition.pull
    try:
        narrator.phase(f"images on {_count(len(plan.nodes), 'node')}")
        yield images_on_all(plan, cluster, policy, order.allow_different_images, brought, stop, narrator)
    finally:
        for problem in brought.clean(order.settings.parallel):
            narrator.note(f"{problem}; the image stays there")


def _warn_of_images(plan: Plan, cluster: Cluster, narrator: Narrator) -> None:
    """Tell what in the images goes wrong when nobody is root, as far as their configuration shows it."""
    told: dict[str, None] = {}
    for instance in {one.container.name: one for one in plan.instances}.values():
        image, engine = instance.container.image, cluster.engine(instance.node)
        for finding in planning_findings(
            image,
            engine.inspect_image(image),
            plan.submitter,
            engine.info.architecture,
            instance.container.entrypoint or instance.container.command,
            tuple(mount.target for mount in instance.request.mounts),
            plan.network_mode is NetworkMode.HOST,
        ):
            told[f"{finding.place}: {finding.what}; `dgrid image check {image}` tells why, and what to do"] = None
    for text in told:
        narrator.milestone(text)


@contextmanager
def _torn_down(
    plan: Plan, ids: ContainerIds, cluster: Cluster, stop: StopSignals, narrator: Narrator
) -> Iterator[Leashes]:
    """Whatever happens within it, the run's containers and networks are removed when it is left.

    Should dgrid itself be killed within it, the leashes remove them.
    """
    leashes = put_on_leash(cluster, plan.session, stop)
    for text in gather(leashes.remarks()):
        narrator.note(text)
    try:
        yield leashes
    finally:
        narrator.phase("removing the containers")
        lost = leashes.lost()
        _tell(gather((name, f"out of reach ({why}); {_LEFT_TO_LEASH}") for name, why in lost.items()), narrator)
        problems = tear_down(plan, ids, cluster, stop, lost, narrator.note)
        cut = {one.name for one in cluster.machines if one.link.is_lost()}
        for problem in problems:
            left = f"the connection has ended; {_LEFT_TO_LEASH}" if problem.node in cut else _left(problem, plan)
            narrator.note(f"{problem.node}: {left}")
        leashes.let_go(problems)


def _left(problem: NodeError, plan: Plan) -> str:
    return f"{problem.what}; what is left there of this run has the label {LABEL_SESSION}={plan.session}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
