"""From the head container's start to its end: its output, signals, workers that end, nodes that are lost."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from queue import Empty, SimpleQueue

from dgrid.errors import NodeError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.head_session import HeadSession, OutputEnded, Resized, SignalObeyed
from dgrid.nodes.leashes import Leashes
from dgrid.nodes.machine import Machine
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.output import KeptEnded, LogDirectory, Pump, Sink, to_streams
from dgrid.nodes.signals import Continued, StopSignals, Suspended
from dgrid.nodes.start import ContainerIds, start
from dgrid.nodes.terminal import Streams
from dgrid.nodes.watch import Ended, EventsLost, MachineLost, Watch
from dgrid.nodes.workers import Workers, how_it_ended
from dgrid.plan.plan import Instance, Plan

_OUTPUT_DRAIN_S = 30.0
_STOPPED_DRAIN_S = 2.0
_LOOK_AGAIN_S = 30.0
_LOOK_OFTEN_S = 1.0

_Entry = (
    Continued | Ended | EventsLost | KeptEnded | MachineLost | OutputEnded | Resized | SignalObeyed | Suspended | None
)
"""What wakes the supervisor; None is a signal."""


class Supervisor:
    """Watches a run from before its first start. For the main thread; other threads feed its inbox."""

    def __init__(
        self, plan: Plan, ids: ContainerIds, cluster: Cluster, streams: Streams, stop: StopSignals,
        narrator: Narrator, logs: LogDirectory | None, leashes: Leashes,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._ids = ids
        self._cluster = cluster
        self._streams = streams
        self._stop = stop
        self._narrator = narrator
        self._logs = logs
        self._inbox: SimpleQueue[_Entry] = SimpleQueue()
        self._leashes = leashes
        self._watch = Watch(plan, ids, cluster, self._inbox)
        self._kept: dict[str, Sink] = {}
        self._workers = Workers(plan, ids, cluster, narrator, self._keep_output)

    def watch_workers(self) -> None:
        """Before the workers' start: subscribe to their ends, and to their output where it is kept."""
        self._leashes.tell(self._inbox)
        self._watch.subscribe_all()
        for worker in self._plan.instances:
            if self._logs is not None and not worker.container.interactive:
                self._kept[worker.name] = self._logs.sink(worker.name)
                self._keep_output(worker)

    def _keep_output(self, worker: Instance) -> None:
        """Before each start of the worker, as its end ends the stream, too."""
        if worker.name in self._kept:
            attached = self._cluster.engine(worker.node).attach(self._ids[worker.name], tty=False, stdin=False)
            Pump(
                attached, (self._kept[worker.name],), lambda failure: self._inbox.put(KeptEnded(worker, failure))
            ).start()

    def run_head(self) -> int:
        """Attach to the head container, start it, stay until it ends; returns its exit code.

        Raises Stopped, WorkerFailed, StartError, OutputError, or the error of the head's own node.
        """
        head = self._plan.head
        kept = (self._logs.sink(head.name),) if self._logs else ()
        sinks = (to_streams(self._streams), *kept)
        session = HeadSession(
            head, self._ids[head.name], self._cluster.engine(head.node), self._streams, sinks, self._inbox
        )
        try:
            with self._stop.waking(self._inbox), self._stop.suspending(self._inbox), session.terminal():
                self._stop.check()
                start(head, self._ids[head.name], self._cluster)
                session.give_stdin()
                return self._until_it_ends(session)
        finally:
            session.close()
            self._watch.close()

    def _until_it_ends(self, session: HeadSession) -> int:
        for machine in self._cluster.machines:
            self._watch.look(machine)  # those that ended before anybody listened
        while not self._watch.is_over(session.head):
            if self._stop.received:
                self._stop_head(session)
            while self._stop.for_head:
                session.pass_on(self._stop.for_head.pop(0).name)
            self._handle(session, self._next_entry(session))
        self._drain_output(session, _OUTPUT_DRAIN_S)
        state = session.state()
        if state.out_of_memory:
            self._narrator.note(how_it_ended(session.head, state))
        return state.exit_code or 0

    def _next_entry(self, session: HeadSession) -> _Entry:
        # With its output ended the head is about to end: do not rely on the event alone.
        try:
            return self._inbox.get(timeout=_LOOK_OFTEN_S if session.output_ended else _LOOK_AGAIN_S)
        except Empty:
            self._watch.look(self._machine_of(session.head))
            return None

    def _handle(self, session: HeadSession, entry: _Entry) -> None:
        match entry:
            case Ended(instance):
                self._ended(instance)
            case OutputEnded(failure):
                session.output_ended = True
                if failure is not None:
                    raise failure
            case KeptEnded(worker, failure) if failure is not None:
                self._narrator.note(f"{worker.node.name}: the output of {worker.name} is not kept any more: {failure}")
            case EventsLost(machine):
                self._events_lost(machine)
            case MachineLost(machine, error):
                self._machine_lost(machine, error)
            case Resized():
                session.resize()
            case Suspended():
                self._leashes.pause()
                os.kill(os.getpid(), signal.SIGSTOP)
            case Continued():
                self._leashes.resume()

    def _ended(self, instance: Instance) -> None:
        if not self._watch.is_over(instance) and (instance.container.interactive or self._workers.ended(instance)):
            self._watch.over(instance)

    def _events_lost(self, machine: Machine) -> None:
        """The engine was restarted, or the machine is lost. Whatever ended meanwhile is found by looking."""
        try:
            self._watch.subscribe(machine)
            self._watch.look(machine)
        except NodeError as error:
            self._machine_lost(machine, error)

    def _machine_lost(self, machine: Machine, error: NodeError) -> None:
        for instance in self._workers.lost(machine, error):
            self._watch.over(instance)

    def _stop_head(self, session: HeadSession) -> None:
        """Pass the signal on, and wait for the head's grace or a second signal. Raises Stopped."""
        own_grace_s = session.head.container.stop_grace_s
        grace_s = self._cluster.settings.grace_s if own_grace_s is None else own_grace_s
        deadline = time.monotonic() + grace_s
        with session.signalled(self._stop.received[0].name):
            while len(self._stop.received) == 1 and (left_s := deadline - time.monotonic()) > 0:
                with contextlib.suppress(Empty):
                    entry = self._inbox.get(timeout=left_s)
                    session.output_ended |= isinstance(entry, OutputEnded)
                    if isinstance(entry, SignalObeyed):
                        self._drain_output(session, _STOPPED_DRAIN_S)
                        break
        self._stop.check()

    def _drain_output(self, session: HeadSession, timeout_s: float) -> None:
        """Wait for the rest of what an ended head has written, unless a second signal comes. Raises OutputError."""
        if self._streams.outlets is not None:
            self._streams.outlets.lift()
        deadline = time.monotonic() + timeout_s
        while not session.output_ended and len(self._stop.received) < 2:
            try:
                entry = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                self._narrator.note("the head container has ended, but the end of its output did not arrive")
                return
            if isinstance(entry, OutputEnded):
                self._handle(session, entry)

    def _machine_of(self, instance: Instance) -> Machine:
        return self._cluster.machine(instance.node)
