"""The story of one run on nodes that are reached, from images to the head container's exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dgrid.errors import NodeError
from dgrid.nodes.brought import Brought
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.fanout import Meanwhile
from dgrid.nodes.leashes import Leashes, put_on_leash
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.output import LogDirectory
from dgrid.nodes.pull import ImageIds, images_on_all
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.start import ContainerIds, create_all, start_workers
from dgrid.nodes.supervise import Supervisor
from dgrid.nodes.teardown import tear_down
from dgrid.nodes.terminal import Streams
from dgrid.order import Order
from dgrid.plan.definition import NetworkMode
from dgrid.plan.naming import LABEL_SESSION
from dgrid.plan.plan import Plan
from dgrid.report import count, gather

_LEFT_TO_LEASH = "the leash there removes what is left of the run"


def carry_out(
    plan: Plan, cluster: Cluster, order: Order, streams: Streams, stop: StopSignals, narrator: Narrator,
    logs: LogDirectory | None,
) -> int:  # fmt: skip
    """Run what is planned and return the head container's exit code; nothing of it is left on the nodes afterwards.

    Raises a DgridError with the exit code the process is to end with.
    """
    ids: dict[str, str] = {}
    with (
        _images(plan, cluster, order, stop, narrator) as image_ids,
        _torn_down(plan, ids, cluster, stop, narrator) as leashes,
    ):
        narrator.phase(f"creating {count(len(plan.instances), 'container')}")
        looking = Meanwhile(lambda: _warnings_of_images(plan, cluster))
        leashes.creating()
        ids.update(create_all(plan, cluster, stop, image_ids))
        leashes.created(_by_machine(plan, ids, cluster))
        for warning in looking.result(stop):
            narrator.milestone(warning)
        supervisor = Supervisor(plan, ids, cluster, streams, stop, narrator, logs, leashes)
        supervisor.watch_workers()
        if plan.start_order:
            narrator.phase(f"starting {count(len(plan.instances) - 1, 'worker')}")
            start_workers(plan, ids, cluster, stop)
        narrator.milestone(f"{plan.head.name} runs on {plan.head.node.name}")
        try:
            return supervisor.run_head()
        finally:
            for remark in cluster.job.untold():
                narrator.note(remark)


def _by_machine(plan: Plan, ids: ContainerIds, cluster: Cluster) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for instance in plan.instances:
        found.setdefault(cluster.machine(instance.node).name, []).append(ids[instance.name])
    return found


@contextmanager
def _images(plan: Plan, cluster: Cluster, order: Order, stop: StopSignals, narrator: Narrator) -> Iterator[ImageIds]:
    """Within it the images are on all nodes, which are these; those it brought are removed at its end, where wanted."""
    brought = Brought(remove=order.settings.images == "remove")
    policy = order.pull or order.definition.pull
    try:
        narrator.phase(f"images on {count(len(plan.nodes), 'node')}")
        yield images_on_all(plan, cluster, policy, order.allow_different_images, brought, stop, narrator)
    finally:
        for problem in brought.clean(order.settings.parallel):
            narrator.note(f"{problem}; the image stays there")


def _warnings_of_images(plan: Plan, cluster: Cluster) -> tuple[str, ...]:
    """What in the images goes wrong when nobody is root, as far as their configuration shows it."""
    from dgrid.images.planning import planning_findings  # 10 ms, for which engines at work need not wait

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
    return tuple(told)


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
        for text in gather((name, f"out of reach ({why}); {_LEFT_TO_LEASH}") for name, why in lost.items()):
            narrator.note(text)
        problems = tear_down(plan, ids, cluster, stop, lost, narrator.note)
        cut = {one.name for one in cluster.machines if one.link.is_lost()}
        for problem in problems:
            left = f"the connection has ended; {_LEFT_TO_LEASH}" if problem.node in cut else _left(problem, plan)
            narrator.note(f"{problem.node}: {left}")
        leashes.let_go(problems)


def _left(problem: NodeError, plan: Plan) -> str:
    return f"{problem.what}; what is left there of this run has the label {LABEL_SESSION}={plan.session}"
