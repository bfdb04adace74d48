"""From the head container's start to its end: its output, signals, workers that end, nodes that are lost."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from queue import Empty, SimpleQueue

from dgrid.errors import DgridError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.engine import ContainerState
from dgrid.nodes.head_session import HeadSession, OutputEnded, Resized, SignalObeyed
from dgrid.nodes.leashes import Leashes, LeashNote
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.output import KeptEnded, LogDirectory, Pump, Sink, to_streams
from dgrid.nodes.signals import Continued, StopSignals, Suspended
from dgrid.nodes.start import ContainerIds, start
from dgrid.nodes.terminal import Streams
from dgrid.nodes.watch import Ended, EngineAway, EngineBack, MachineLost, Watch
from dgrid.nodes.workers import Failed, NotRestarted, Workers, how_it_ended
from dgrid.plan.grace import grace
from dgrid.plan.plan import Instance, Plan

_OUTPUT_DRAIN_S = 30.0
_STOPPED_DRAIN_S = 2.0
_WAKE_S = 1.0

_Entry = (
    Continued | Ended | EngineAway | EngineBack | Failed | KeptEnded | LeashNote | MachineLost | NotRestarted
    | OutputEnded | Resized | SignalObeyed | Suspended | None
)  # fmt: skip
"""What wakes the supervisor; None is a signal."""


class Supervisor:
    """Watches a run from before its first start. For the main thread, which asks no engine for anything that could
    keep it waiting: other threads do, and feed its inbox."""

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
        self._leashes = leashes
        self._inbox: SimpleQueue[_Entry] = SimpleQueue()
        self._watch = Watch(plan, ids, cluster, self._inbox)
        self._kept: dict[str, Sink] = {}
        self._workers = Workers(plan, ids, cluster, narrator, self._keep_output, self._inbox)
        self._head_state: ContainerState | None = None

    def watch_workers(self) -> None:
        """Before the workers' start: subscribe to their ends, and to their output where it is kept."""
        self._leashes.tell(self._inbox)
        self._watch.begin()
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

        Raises Stopped, WorkerFailed, StartError, OutputError, or the error of a lost node.
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
        self._watch.look_soon(self._cluster.machines)  # those that ended before anybody listened
        while self._head_state is None:
            if self._stop.received:
                self._stop_head(session)
            while self._stop.for_head:
                session.pass_on(self._stop.for_head.pop(0).name)
            self._handle(session, self._next_entry(session))
        self._drain_output(session, _OUTPUT_DRAIN_S)
        if self._head_state.out_of_memory:
            self._narrator.note(how_it_ended(session.head, self._head_state))
        return self._head_state.exit_code or 0

    def _next_entry(self, session: HeadSession) -> _Entry:
        try:
            # Not for ever: a signal that reaches another thread, or this one in the moment before it waits, is handled
            # when this one wakes.
            return self._inbox.get(timeout=_WAKE_S)
        except Empty:
            if session.output_ended:  # the head is about to end: do not rely on the event alone
                self._watch.look_soon((self._cluster.machine(session.head.node),))
            return None

    def _handle(self, session: HeadSession, entry: _Entry) -> None:
        match entry:
            case Ended(instance, state):
                self._ended(instance, state)
            case OutputEnded(failure):
                session.output_ended = True
                if failure is not None:
                    raise failure
            case KeptEnded(worker, failure) if failure is not None:
                self._narrator.note(f"{worker.node.name}: the output of {worker.name} is not kept any more: {failure}")
            case Failed():
                self._workers.failed(entry)
            case NotRestarted(error):
                raise error
            case Resized():
                session.resize()
            case Suspended():
                for note in self._leashes.pause():
                    self._narrator.note(f"{note.machine.name}: {note.text}")
                os.kill(os.getpid(), signal.SIGSTOP)
            case LeashNote(machine, text):
                self._narrator.note(f"{machine.name}: {text}")
            case Continued():
                self._leashes.resume()
            case EngineAway() | EngineBack() | MachineLost():
                self._engine_or_node(session, entry)

    def _ended(self, instance: Instance, state: ContainerState) -> None:
        if instance.container.interactive:
            self._head_state = state
        else:
            self._workers.ended(instance, state)

    def _engine_or_node(self, session: HeadSession, entry: EngineAway | EngineBack | MachineLost) -> None:
        match entry:
            case EngineAway(machine, error):
                self._narrator.note(f"{error}; its containers may go on, dgrid waits for it to come back")
            case EngineBack(machine):
                self._narrator.note(f"{machine.name}: its engine answers again")
                if machine is self._cluster.machine(session.head.node) and session.output_ended:
                    self._attach_again(session)
            case MachineLost(machine, error):
                self._workers.lost(machine, error)
                self._leashes.give_up(machine)

    def _attach_again(self, session: HeadSession) -> None:
        """After a restart of the head's engine: the head may have lived through it."""
        with contextlib.suppress(DgridError):  # it has ended, which a look finds
            if session.attach_again():
                self._narrator.note(
                    f"{session.head.node.name}: attached again to {session.head.name}; what it wrote while its engine "
                    "was restarted may be missing from the output"
                )

    def _stop_head(self, session: HeadSession) -> None:
        """Pass the signal on, and wait for the head's grace or a second signal. Raises Stopped."""
        own_s, site_s = session.head.container.stop_grace_s, self._cluster.settings.grace_s
        leaves_s = None if self._stop.is_ahead else self._plan.allocation.leaves_s
        deadline = time.monotonic() + grace(own_s, site_s, leaves_s)
        with session.signalled(self._stop.received[0].name):
            while len(self._stop.received) == 1 and (left_s := deadline - time.monotonic()) > 0:
                with contextlib.suppress(Empty):
                    entry = self._inbox.get(timeout=min(left_s, _WAKE_S))
                    session.output_ended |= isinstance(entry, OutputEnded)
                    if isinstance(entry, Continued):
                        self._handle(session, entry)  # a paused head cannot obey
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
                entry = self._inbox.get(timeout=min(max(0.0, deadline - time.monotonic()), _WAKE_S))
            except Empty:
                if time.monotonic() < deadline:
                    continue
                self._narrator.note("the head container has ended, but the end of its output did not arrive")
                return
            if isinstance(entry, OutputEnded):
                self._handle(session, entry)
