"""Images that a run has brought to its nodes: remembered, and removed at its end where that is wanted."""

from __future__ import annotations

from collections.abc import Sequence

from dgrid.errors import NodeError
from dgrid.nodes.engine_images import EngineImages
from dgrid.nodes.fanout import errors_of, fan_out, values_of
from dgrid.nodes.machine import Machine
from dgrid.nodes.signals import StopSignals
from dgrid.record import record


@record
class _Fetched:
    machine: Machine
    image: str
    name_was_of: str | None  # the id of the image that had the name before


class Brought:
    """``Brought(remove=True)``: forgets nothing until ``clean``. With ``remove`` false it does nothing at all."""

    def __init__(self, remove: bool) -> None:
        self._remove = remove
        self._before: dict[str, frozenset[str]] = {}
        self._fetched: list[_Fetched] = []

    def look(self, machines: Sequence[Machine], parallel: int, stop: StopSignals) -> None:
        """Remember which images there are before the run fetches any. Raises EngineError or ManyNodesError."""
        if self._remove:
            found = values_of(fan_out(machines, lambda one: _images(one).all_ids(), parallel, stop))
            self._before = {machine.name: ids for machine, ids in zip(machines, found, strict=True)}

    def note(self, machine: Machine, image: str, name_was_of: str | None) -> None:
        """The run is about to fetch ``image``; ``name_was_of`` is the id of what has this name there now."""
        self._fetched.append(_Fetched(machine, image, name_was_of))

    def clean(self, parallel: int) -> tuple[NodeError, ...]:
        """Remove what was fetched, unless it was there before, or a container of anybody's uses it.

        Returns an error for each node where that failed; an image in use is kept without one.
        """
        if not self._remove:
            return ()
        return errors_of(fan_out(self._fetched, self._clean, parallel))

    def _clean(self, fetched: _Fetched) -> None:
        images = _images(fetched.machine)
        found = images.find(fetched.image)
        if found is None or found.image_id in self._before[fetched.machine.name] or found.image_id in images.used():
            return
        try:
            images.remove(fetched.image)
        except NodeError:
            if found.image_id not in images.used():  # else somebody was quicker
                raise
            return
        if fetched.name_was_of is not None:
            images.tag(f"sha256:{fetched.name_was_of}", fetched.image)


def _images(machine: Machine) -> EngineImages:
    return EngineImages(machine.link, machine.engine)
