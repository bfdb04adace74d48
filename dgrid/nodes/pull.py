"""Images on all nodes: looked up, pulled where the policy says so, and the same one everywhere."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import Enum

from dgrid.errors import ImageError, ManyNodesError, NodeError
from dgrid.nodes.cluster import Cluster, Machine
from dgrid.nodes.engine import ImageFacts
from dgrid.nodes.fanout import fan_out, values_of
from dgrid.nodes.signals import StopSignals
from dgrid.plan.plan import Plan


class PullPolicy(Enum):
    """When an image is fetched from its registry."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class _Need:
    machine: Machine
    image: str


def images_on_all(plan: Plan, cluster: Cluster, policy: PullPolicy, allow_different: bool, stop: StopSignals) -> None:
    """See that every node has the images of its instances. Raises ManyNodesError or ImageError.

    Unless ``allow_different``, an image must be the same (by its id) on all nodes that use it.
    """
    needs = _needs(plan, cluster)
    timeout_s = cluster.settings.pull_timeout_s
    found = values_of(fan_out(needs, lambda need: _image_on(need, policy, timeout_s), cluster.settings.parallel, stop))
    if not allow_different:
        _same_everywhere(needs, found)


def _needs(plan: Plan, cluster: Cluster) -> tuple[_Need, ...]:
    needs = {}
    for instance in plan.instances:
        machine = cluster.machine(instance.node)
        needs[machine.name, instance.container.image] = _Need(machine, instance.container.image)
    return tuple(needs.values())


def _image_on(need: _Need, policy: PullPolicy, timeout_s: float) -> ImageFacts:
    engine = need.machine.engine
    found = None if policy is PullPolicy.ALWAYS else engine.image(need.image)
    if found is None and policy is not PullPolicy.NEVER:
        try:
            engine.pull(need.image, timeout_s)
        except NodeError as error:
            why = error.what.removeprefix(f"cannot pull the image {need.image}: ")
            raise ImageError(
                engine.node, f"the image {need.image} is not there and cannot be pulled ({why})"
            ) from error
        found = engine.image(need.image)
    if found is None:
        raise ImageError(
            engine.node,
            f"the image {need.image} is not there, and --pull never forbids fetching it; "
            f"load it on that node, or use --pull missing",
        )
    return found


def _same_everywhere(needs: tuple[_Need, ...], found: tuple[ImageFacts, ...]) -> None:
    by_image: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for need, image in zip(needs, found, strict=True):
        by_image[need.image][image.image_id].append(need.machine.name)
    errors = [
        ImageError(
            node,
            f"the image {image} is {image_id[:12]} there; the nodes have {len(ids)} different ones under "
            f"this name. Load or pull the same one everywhere (--pull always), or use --allow-different-images",
        )
        for image, ids in by_image.items()
        if len(ids) > 1
        for image_id, nodes in ids.items()
        for node in nodes
    ]
    if errors:
        raise ManyNodesError(tuple(errors))
