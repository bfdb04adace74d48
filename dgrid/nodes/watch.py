"""Noticing that containers end and that engines go away: the engines' events, and looking where none can be relied on.

All of it in threads of its own: an engine that hangs holds up nobody else.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from queue import SimpleQueue
from typing import Any

from dgrid.errors import EngineTimeout, NodeError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.container_stream import EventStream
from dgrid.nodes.engine import ContainerState
from dgrid.nodes.fanout import fan_out, values_of
from dgrid.nodes.machine import Machine
from dgrid.nodes.start import ContainerIds
from dgrid.plan.naming import LABEL_SESSION
from dgrid.plan.plan import Instance, Plan
from dgrid.record import record

_LOOK_EVERY_S = 30.0
_RESUBSCRIBE_S = 0.5
_SETTLE_LOOKS, _SETTLE_PAUSE_S = 5, 0.1


@record
class Ended:
    """An instance has ended; ``state`` is how."""

    instance: Instance
    state: ContainerState


@record
class EngineAway:
    """A machine's engine does not answer; its containers may go on without it."""

    machine: Machine
    error: NodeError


@record
class EngineBack:
    """An engine that was away answers again."""

    machine: Machine


@record
class MachineLost:
    """A machine cannot be reached any more, or its engine has gone for good."""

    machine: Machine
    error: NodeError


class Watch:
    """Puts Ended, once for each end of an instance, EngineAway, EngineBack and MachineLost into ``inbox``."""

    def __init__(self, plan: Plan, ids: ContainerIds, cluster: Cluster, inbox: SimpleQueue[Any]) -> None:
        self._labels = {LABEL_SESSION: plan.session}
        self._cluster = cluster
        self._inbox = inbox
        self._instances = {ids[one.name]: one for one in plan.instances}
        self._on_machine: defaultdict[str, list[str]] = defaultdict(list)
        for container_id, instance in self._instances.items():
            self._on_machine[cluster.machine(instance.node).name].append(container_id)
        self._lock = threading.Lock()
        self._told: set[tuple[str, str]] = set()
        self._away: set[str] = set()
        self._streams: dict[str, EventStream] = {}
        self._closed = threading.Event()

    def begin(self) -> None:
        """Before the first start: from now on ends are told. Raises EngineError, LinkError or ManyNodesError."""
        machines = self._cluster.machines
        values_of(fan_out(machines, self._subscribe, self._cluster.settings.parallel))
        for machine in machines:
            threading.Thread(target=self._follow, args=(machine,), daemon=True).start()
        threading.Thread(target=self._look_around, daemon=True).start()

    def look_soon(self, machines: Iterable[Machine]) -> None:
        """Tell of all that have ended there, whether an event came or not."""
        threading.Thread(target=self._look_at, args=(tuple(machines),), daemon=True).start()

    def close(self) -> None:
        """Tell of nothing more."""
        self._closed.set()
        for events in tuple(self._streams.values()):
            events.close()

    def _subscribe(self, machine: Machine) -> None:
        self._streams[machine.name] = machine.engine.events(self._labels)
        if self._closed.is_set():
            self._streams[machine.name].close()

    def _follow(self, machine: Machine) -> None:
        """Read a machine's events, from one start of its engine to the next, until it is lost."""
        while not self._closed.is_set():
            for end in self._streams[machine.name].ends():
                self._look_into(machine, end.container_id)
            if not self._has_come_back(machine):
                return
            self._look_at((machine,))

    def _has_come_back(self, machine: Machine) -> bool:
        """Whether the engine, whose events have ended, can be subscribed to again."""
        wait_s = self._cluster.settings.engine_wait_s
        deadline = time.monotonic() + wait_s
        while not self._closed.wait(_RESUBSCRIBE_S):
            try:
                self._subscribe(machine)
            except NodeError as error:
                if machine.link.is_lost():
                    return False  # whoever notices that tells it
                if time.monotonic() > deadline:
                    what = f"its engine has been away for {wait_s:g} s ({error.what})"
                    self._inbox.put(MachineLost(machine, NodeError(machine.name, what)))
                    return False
                self._is_away(machine, error)
            else:
                self._is_back(machine)
                return True
        return False

    def _look_around(self) -> None:
        while not self._closed.wait(_LOOK_EVERY_S):
            self._look_at(self._cluster.machines)

    def _look_at(self, machines: tuple[Machine, ...]) -> None:
        fan_out(machines, self._look, self._cluster.settings.parallel)

    def _look(self, machine: Machine) -> None:
        try:
            running = set(machine.engine.containers(self._labels, running_only=True))
        except EngineTimeout as error:
            self._is_away(machine, error)
            return
        except NodeError:
            return  # the end of its events tells that
        self._is_back(machine)
        for container_id in self._on_machine[machine.name]:
            if container_id not in running:
                self._look_into(machine, container_id)

    def _look_into(self, machine: Machine, container_id: str) -> None:
        instance = self._instances.get(container_id)
        if instance is None or self._closed.is_set():
            return
        try:
            state = _settled(machine, container_id)
        except NodeError:
            return  # the next look finds it
        if state.running or state.exit_code is None:
            return
        with self._lock:
            end = (instance.name, state.finished_at)
            if end in self._told:
                return
            self._told.add(end)
        self._inbox.put(Ended(instance, state))

    def _is_away(self, machine: Machine, error: NodeError) -> None:
        with self._lock:
            known = machine.name in self._away
            self._away.add(machine.name)
        if not known:
            self._inbox.put(EngineAway(machine, error))

    def _is_back(self, machine: Machine) -> None:
        with self._lock:
            was_away = machine.name in self._away
            self._away.discard(machine.name)
        if was_away:
            self._inbox.put(EngineBack(machine))


def _settled(machine: Machine, container_id: str) -> ContainerState:
    """How a container is, once it is not between running and ended: Podman tells of ends before it has their code."""
    for _ in range(_SETTLE_LOOKS):
        state = machine.engine.state(container_id)
        if state.running or state.exit_code is not None:
            break
        time.sleep(_SETTLE_PAUSE_S)
    return state
