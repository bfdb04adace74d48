"""Images on all nodes: looked up, fetched where the policy says so, and the same one everywhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from dgrid.errors import ImageError
from dgrid.nodes.brought import Brought
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.disk_space import with_space
from dgrid.nodes.engine_images import EngineImages, StoredImage, split_tag
from dgrid.nodes.fanout import errors_of, fan_out, raise_all, values_of
from dgrid.nodes.machine import Machine
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.signals import StopSignals
from dgrid.plan.definition import PullPolicy
from dgrid.plan.plan import Plan
from dgrid.record import record

ImageIds = Mapping[tuple[str, str], str]
"""The id of an image by its machine's name and its own."""


@record
class _Need:
    machine: Machine
    image: str

    @property
    def images(self) -> EngineImages:
        return EngineImages(self.machine.link, self.machine.engine)


def images_on_all(
    plan: Plan,
    cluster: Cluster,
    policy: PullPolicy,
    allow_different: bool,
    brought: Brought,
    stop: StopSignals,
    narrator: Narrator,
) -> ImageIds:
    """See that every node has the images of its instances. Raises ManyNodesError or ImageError.

    An image is resolved once: what the first node gets under a tag is what the others fetch, by its digest. Unless
    ``allow_different``, it must be the same (by its id) on all nodes that use it. ``brought`` remembers what was
    fetched. Returns what each is.
    """
    needs = _needs(plan, cluster)
    brought.look(cluster.machines, cluster.settings.parallel, stop)
    work = _Fetching(cluster, brought, stop, narrator)
    stock = work.look(needs)
    if policy is PullPolicy.SPREAD:
        work.spread(needs, stock)
    elif policy is PullPolicy.ALWAYS:
        work.pull(needs, stock, {})
    elif policy is PullPolicy.MISSING:
        needs = tuple(need for need in needs if stock[need] is None)
        work.pull(needs, stock, _digests(stock))
    stock |= work.look(needs)
    _all_there(stock)
    if not allow_different:
        _same_everywhere(stock)
    return {(need.machine.name, need.image): found.image_id for need, found in stock.items() if found is not None}


def _needs(plan: Plan, cluster: Cluster) -> tuple[_Need, ...]:
    needs = {}
    for instance in plan.instances:
        machine = cluster.machine(instance.node)
        needs[machine.name, instance.container.image] = _Need(machine, instance.container.image)
    return tuple(needs.values())


_Stock = dict[_Need, StoredImage | None]


class _Fetching:
    """The means to fetch images with, and the memory of what was."""

    def __init__(self, cluster: Cluster, brought: Brought, stop: StopSignals, narrator: Narrator) -> None:
        self._settings = cluster.settings
        self._machines = cluster.machines
        self._brought = brought
        self._stop = stop
        self._narrator = narrator

    def look(self, needs: Sequence[_Need]) -> _Stock:
        """What each node has of what it needs. Raises EngineError or ManyNodesError."""
        found = values_of(
            fan_out(needs, lambda need: need.images.find(need.image), self._settings.parallel, self._stop)
        )
        return dict(zip(needs, found, strict=True))

    def pull(self, needs: Sequence[_Need], stock: _Stock, digests: dict[str, str]) -> None:
        """Fetch from the registries: ``digests`` says what an image is where that is known already.

        Else the first node that needs it asks for the tag, and the others for what it got.
        """
        leaders = list({need.image: need for need in reversed(needs) if need.image not in digests}.values())
        outcomes = fan_out(leaders, lambda one: self._fetch(one, stock, None), self._settings.parallel, self._stop)
        for outcome in outcomes:
            if outcome.error is None and outcome.value is not None:
                digests[outcome.item.image] = outcome.value
        others = [need for need in needs if need not in leaders]
        errors = errors_of(outcomes) + errors_of(
            fan_out(
                others,
                lambda one: self._fetch(one, stock, digests.get(one.image)),
                self._settings.parallel,
                self._stop,
            )
        )
        raise_all(errors)

    def spread(self, needs: Sequence[_Need], stock: _Stock) -> None:
        """From node to node. What no node has, the first that needs it fetches from its registry."""
        from dgrid.nodes.spread import spread

        for image in dict.fromkeys(need.image for need in needs):
            wanting = [need for need in needs if need.image == image]
            if not any(EngineImages(one.link, one.engine).find(image) for one in self._machines):
                self._narrator.phase(f"no node has {image}: {wanting[0].machine.name} fetches it")
                self._fetch(wanting[0], stock, None)
            for need in wanting:
                self._note(need, stock)
            machines = [need.machine for need in wanting]
            done = spread(image, machines, self._machines, self._settings, self._stop, self._narrator)
            raise_all(done.failed)

    def _fetch(self, need: _Need, stock: _Stock, digest: str | None) -> str | None:
        """The digest's name of what was fetched; None if the registry has none for it."""
        from dgrid.nodes.registry import fetch

        self._note(need, stock)
        try:
            fetch(need.images, need.image, digest, self._settings.pull_timeout_s)
        except ImageError as error:
            what = with_space(need.machine.link, need.images, error.what)
            if what == error.what:
                raise
            raise ImageError(need.machine.name, what) from error
        found = need.images.find(need.image)
        return None if found is None else _digest_in(need.image, found)

    def _note(self, need: _Need, stock: _Stock) -> None:
        found = stock[need]
        self._brought.note(need.machine, need.image, None if found is None else found.image_id)


def _digests(stock: _Stock) -> dict[str, str]:
    """By image, the digest by which a node that has it once fetched it."""
    pairs = ((need.image, _digest_in(need.image, found)) for need, found in stock.items() if found is not None)
    return {image: digest for image, digest in pairs if digest is not None}


def _digest_in(image: str, found: StoredImage) -> str | None:
    repository = split_tag(image.partition("@")[0])[0]
    return next((name for name in found.digests if _same_repository(name.partition("@")[0], repository)), None)


def _same_repository(one: str, other: str) -> bool:
    """Podman writes names out in full, Docker leaves Docker Hub's name and its library out."""
    return one == other or one in (f"docker.io/{other}", f"docker.io/library/{other}")


def _all_there(stock: _Stock) -> None:
    missing = tuple(
        ImageError(
            need.machine.name,
            f"the image {need.image} is not there, and --pull never forbids fetching it; "
            f"load it on that node, or use --pull missing or --pull spread",
        )
        for need, found in stock.items()
        if found is None
    )
    raise_all(missing)


def _same_everywhere(stock: _Stock) -> None:
    by_image: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for need, found in stock.items():
        if found is not None:
            by_image[need.image][found.image_id].append(need.machine.name)
    errors = [
        ImageError(
            node,
            f"the image {image} is {image_id[:12]} there; the nodes have {len(ids)} different ones under this name. "
            "Bring the same one to all of them (--pull always, or --pull spread), or use --allow-different-images",
        )
        for image, ids in by_image.items()
        if len(ids) > 1
        for image_id, nodes in ids.items()
        for node in nodes
    ]
    raise_all(errors)
