"""An image to all nodes from one that has it: from node to node, and only to those that lack it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from dgrid.config import Settings
from dgrid.errors import ImageError, NodeError
from dgrid.nodes.disk_space import with_space
from dgrid.nodes.engine_images import EngineImages, StoredImage
from dgrid.nodes.fanout import Outcome, errors_of, fan_out, values_of
from dgrid.nodes.machine import Machine
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.spread_round import Cargo, RoundEnd, run_round
from dgrid.plan.facts import EngineKind
from dgrid.plan.folding import fold
from dgrid.record import record

_TELL_EVERY_S = 5.0
_ID = 12


@record
class Spread:
    """How a spread ended: names of nodes. ``failed`` has an error for each node that does not have the image."""

    image: str
    image_id: str
    source: str
    had_it: tuple[str, ...]
    got_it: tuple[str, ...]
    through_here: tuple[str, ...]
    failed: tuple[NodeError, ...]


def spread(
    image: str,
    machines: Sequence[Machine],
    also_from: Sequence[Machine],
    settings: Settings,
    stop: StopSignals,
    narrator: Narrator,
) -> Spread:
    """Bring an image to all ``machines`` from one that has it: this one if it does, else the first in order.

    Machines of ``also_from`` may have it, too, and are not brought it. A node that fails or is lost does not keep the
    others from getting it. Raises ImageError when no machine has the image, and Stopped.
    """
    if "@" in image:
        raise ImageError(machines[0].name, f"{image}: a digest names what a registry has; spread the image by its tag")
    everybody = tuple({one.name: one for one in (*machines, *also_from)}.values())
    stock = fan_out(everybody, lambda one: _images(one).find(image), settings.parallel, stop)
    source, facts = _source(image, stock)
    wanting = [one for one in stock if one.item in machines]
    return _Spreading(image, source, facts, settings, stop, narrator).to_all(wanting)


def _images(machine: Machine) -> EngineImages:
    return EngineImages(machine.link, machine.engine)


def _source(image: str, stock: Iterable[Outcome[Machine, StoredImage | None]]) -> tuple[Machine, StoredImage]:
    having = [(one.item, one.value) for one in stock if one.value is not None]
    if not having:
        asked = fold([one.item.name for one in stock])
        raise ImageError(
            asked,
            f"the image {image} is not there, so nothing can be spread; build or pull it on one of the nodes",
        )
    return next((pair for pair in having if pair[0].nodes[0].is_local), having[0])


class _Spreading:
    """One spread under way."""

    def __init__(
        self,
        image: str,
        source: Machine,
        facts: StoredImage,
        settings: Settings,
        stop: StopSignals,
        narrator: Narrator,
    ) -> None:
        self._image = image
        self._source = source
        self._facts = facts
        self._settings = settings
        self._stop = stop
        self._narrator = narrator
        self._ends_at = time.monotonic() + settings.pull_timeout_s
        self._having = [source]
        self._lacking: list[Machine] = []
        self._through_here: list[str] = []
        self._failed: dict[str, str] = {}
        self._cannot_relay: dict[str, str] = {}
        self._wants_all: set[str] = set()
        self._unreached: set[tuple[str, str]] = set()
        self._without_sent = False
        self._told_at = time.monotonic()

    def to_all(self, stock: Sequence[Outcome[Machine, StoredImage | None]]) -> Spread:
        """Do it."""
        had = self._sort_out(stock)
        asked = [*self._lacking]
        while self._lacking and time.monotonic() < self._ends_at:
            source = next((one for one in self._having if self._may_reach(one)), None)
            if source is not None:
                self._round(source, [one for one in self._lacking if self._is_open(source, one)])
            else:
                self._through_this_machine()
        for machine in self._lacking:
            self._failed[machine.name] = f"it did not come within {self._settings.pull_timeout_s:g} s"
        self._verify(asked)
        return Spread(
            image=self._image,
            image_id=self._facts.image_id,
            source=self._source.name,
            had_it=had,
            got_it=tuple(one.name for one in asked if one.name not in self._failed),
            through_here=tuple(name for name in self._through_here if name not in self._failed),
            failed=(
                *errors_of(stock),
                *(
                    ImageError(name, f"the image {self._image} did not get there: {why}")
                    for name, why in self._failed.items()
                ),
            ),
        )

    def _sort_out(self, stock: Iterable[Outcome[Machine, StoredImage | None]]) -> tuple[str, ...]:
        """Who has it, who lacks it; those that have it under no or another name get the name."""
        had = []
        for outcome in stock:
            machine, found = outcome.item, outcome.value
            if outcome.error is not None:
                continue
            try:
                has = found is not None and found.image_id == self._facts.image_id
                if not has and found is not None:
                    self._tell_replaced(machine, found)
                if has or self._has_under_other_name(machine):
                    had.append(machine.name)
                    self._having += [] if machine is self._source else [machine]
                else:
                    self._lacking.append(machine)
            except NodeError as error:
                self._failed[machine.name] = error.what
        return tuple(had)

    def _tell_replaced(self, machine: Machine, found: StoredImage) -> None:
        self._narrator.note(
            f"{machine.name}: another image ({found.image_id[:_ID]}) has the name {self._image} there, "
            f"and loses it to the one of {self._source.name} ({self._facts.image_id[:_ID]})"
        )

    def _has_under_other_name(self, machine: Machine) -> bool:
        images = _images(machine)
        if self._facts.image_id not in images.all_ids():
            return False
        images.tag(f"sha256:{self._facts.image_id}", self._image)
        return True

    def _may_reach(self, source: Machine) -> bool:
        return source.name not in self._cannot_relay and any(self._is_open(source, one) for one in self._lacking)

    def _is_open(self, source: Machine, target: Machine) -> bool:
        return target.name not in self._cannot_relay and (source.name, target.name) not in self._unreached

    def _round(self, source: Machine, targets: list[Machine]) -> None:
        names = [one.name for one in targets]
        self._narrator.phase(f"spreading {self._image} from {source.name} to {fold(names)}")
        end = run_round(
            source, targets, self._cargo(source, targets), self._ends_at, self._stop, self._tell_progress(names)
        )
        self._take_note(source, end, targets)

    def _take_note(self, source: Machine, end: RoundEnd, targets: Sequence[Machine]) -> None:
        """Every target ends up with the image, failed, or lacking with one way fewer to get it."""
        if end.source_failed is not None:
            self._cannot_relay[source.name] = end.source_failed
        for name, why in end.no_relay.items():
            self._cannot_relay[name] = why
        for machine in targets:
            name = machine.name
            if name in end.done:
                self._has_it_now(machine)
            elif name in end.lost:
                self._fails(machine, end.lost[name])
            elif name in end.refused and (name in self._wants_all or not self._without_sent):
                self._fails(machine, with_space(machine.link, _images(machine), end.refused[name]))
            elif name in end.refused:
                self._wants_all.add(name)
            elif name in end.cut_off:
                self._unreached.add((source.name, name))
                self._narrator.note(f"{name}: could not take {self._image}: {end.cut_off[name]}")

    def _has_it_now(self, machine: Machine) -> None:
        self._lacking.remove(machine)
        self._having.append(machine)

    def _fails(self, machine: Machine, why: str) -> None:
        self._lacking.remove(machine)
        self._failed[machine.name] = why

    def _cargo(self, source: Machine, targets: Sequence[Machine]) -> Cargo:
        """The image, without the layers that all targets have, where their engines allow for that."""
        podman = all(one.engine.info.kind is EngineKind.PODMAN for one in targets)
        path = _images(source).save_path(self._image, podman)
        layers = self._facts.layers
        shared = min(values_of(fan_out((source, *targets), self._shared, self._settings.parallel, self._stop)))
        # From Docker 25 on a layer's member is called after its digest. An older one's are not, and all are sent.
        missing = set(layers[shared:])
        without = tuple(f"blobs/sha256/{one.removeprefix('sha256:')}" for one in layers[:shared] if one not in missing)
        self._without_sent = bool(without)
        return Cargo(path, without)

    def _shared(self, machine: Machine) -> int:
        images = _images(machine)
        try:
            if machine.name in self._wants_all or not images.takes_parts():
                return 0
            return images.shared_layers(self._facts.layers)
        except NodeError:
            return 0  # lost, or with an engine in trouble, as the round will find

    def _tell_progress(self, names: Sequence[str]) -> Callable[[Mapping[str, int]], None]:
        total = self._facts.size_bytes / 1e6

        def tell(received: Mapping[str, int]) -> None:
            if received and time.monotonic() - self._told_at >= _TELL_EVERY_S:
                self._told_at = time.monotonic()
                first, last = max(received.values()) / 1e6, min(received.values()) / 1e6
                where = (
                    f"to {names[0]}"
                    if len(names) == 1
                    else f"to the first of {len(names)} nodes, {last:.0f} to the last"
                )
                self._narrator.milestone(f"{self._image}: of about {total:.0f} MB, {first:.0f} have come {where}")

        return tell

    def _through_this_machine(self) -> None:
        """The last way: over dgrid's own connections. To one node if others can take it from there, else to all."""
        able = [one for one in self._lacking if one.name not in self._cannot_relay]
        targets = able[:1] if len(able) > 1 else list(self._lacking)
        for machine in targets:
            why = self._cannot_relay.get(machine.name) or self._cannot_relay.get(self._source.name)
            self._narrator.note(
                f"{machine.name}: gets {self._image} through this machine, as it cannot take it from another node"
                + (f" ({why})" if why else "")
            )
        left_s = max(1.0, self._ends_at - time.monotonic())
        source = _images(self._source)
        outcomes = fan_out(
            targets, lambda one: source.copy_to(_images(one), self._image, left_s), self._settings.parallel, self._stop
        )
        for outcome in outcomes:
            machine = outcome.item
            if isinstance(outcome.error, NodeError):
                self._fails(machine, with_space(machine.link, _images(machine), outcome.error.what))
            else:
                self._has_it_now(machine)
                self._through_here.append(machine.name)

    def _verify(self, asked: Sequence[Machine]) -> None:
        """Whatever was told on the way: the image is there if its engine now knows it by this id."""
        waiting = [one for one in asked if one.name not in self._failed]
        for outcome in fan_out(
            waiting, lambda one: _images(one).find(self._image), self._settings.parallel, self._stop
        ):
            found = outcome.value
            if isinstance(outcome.error, NodeError):
                self._failed[outcome.item.name] = outcome.error.what
            elif found is None or found.image_id != self._facts.image_id:
                there = "not there" if found is None else f"{found.image_id[:_ID]} there"
                self._failed[outcome.item.name] = (
                    f"after loading it is {there}, and not {self._facts.image_id[:_ID]} as on {self._source.name}"
                )
