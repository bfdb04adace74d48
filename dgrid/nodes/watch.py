"""Noticing that containers end: the engines' events, and looking where no event can be relied on."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from dgrid.errors import NodeError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.container_stream import EventStream
from dgrid.nodes.machine import Machine
from dgrid.nodes.start import ContainerIds
from dgrid.plan.naming import LABEL_SESSION
from dgrid.plan.plan import Instance, Plan


@dataclass(frozen=True, slots=True)
class Ended:
    """An instance is said to have ended; its state tells the truth."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class EventsLost:
    """A machine's events come no more: its engine or the machine has gone."""

    machine: Machine


@dataclass(frozen=True, slots=True)
class MachineLost:
    """A machine cannot be reached any more, or its engine has gone for good."""

    machine: Machine
    error: NodeError


class Watch:
    """Puts Ended and EventsLost into ``inbox``. Its methods are for the main thread."""

    def __init__(self, plan: Plan, ids: ContainerIds, cluster: Cluster, inbox: SimpleQueue[Any]) -> None:
        self._labels = {LABEL_SESSION: plan.session}
        self._cluster = cluster
        self._inbox = inbox
        self._instances = {ids[one.name]: one for one in plan.instances}
        self._over: set[str] = set()
        self._streams: list[EventStream] = []

    def subscribe_all(self) -> None:
        """Before the first start. Raises EngineError or LinkError."""
        for machine in self._cluster.machines:
            self.subscribe(machine)

    def subscribe(self, machine: Machine) -> None:
        """From now on the ends of this machine's containers are told. Raises EngineError or LinkError."""
        events = machine.engine.events(self._labels)
        self._streams.append(events)
        threading.Thread(target=self._read, args=(events, machine), daemon=True).start()

    def look(self, machine: Machine) -> None:
        """Tell of all that have ended on a machine, whether an event came or not. Raises EngineError or LinkError."""
        running = set(machine.engine.containers(self._labels, running_only=True))
        for container_id, instance in self._instances.items():
            if instance.node in machine.nodes and container_id not in running and instance.name not in self._over:
                self._inbox.put(Ended(instance))

    def is_over(self, instance: Instance) -> bool:
        """Whether the instance's end has been dealt with."""
        return instance.name in self._over

    def over(self, instance: Instance) -> None:
        """The instance's end has been dealt with: it is not told again."""
        self._over.add(instance.name)

    def close(self) -> None:
        """Tell of nothing more."""
        for events in self._streams:
            events.close()

    def _read(self, events: EventStream, machine: Machine) -> None:
        for end in events.ends():
            instance = self._instances.get(end.container_id)
            if instance is not None:
                self._inbox.put(Ended(instance))
        self._inbox.put(EventsLost(machine))
