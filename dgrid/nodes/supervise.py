"""From the head container's start to its end: output, signals, workers that end, nodes that are lost."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from dgrid.errors import DgridError, NodeError, WorkerFailed
from dgrid.nodes.cluster import Cluster, Machine
from dgrid.nodes.container_stream import EventStream
from dgrid.nodes.engine import ContainerState, Engine
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.output import LogDirectory, Pump, StdinPump, to_streams
from dgrid.nodes.signals import StopSignals, on_resize
from dgrid.nodes.start import ContainerIds, start
from dgrid.nodes.terminal import Streams, raw_terminal, size
from dgrid.plan.definition import FailurePolicy
from dgrid.plan.naming import LABEL_SESSION
from dgrid.plan.plan import Instance, Plan
from dgrid.units import format_size

_TAIL_LINES = 20
_OUTPUT_DRAIN_S = 30.0
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class _Ended:
    container_id: str


@dataclass(frozen=True, slots=True)
class _EventsLost:
    machine: Machine


@dataclass(frozen=True, slots=True)
class _OutputEnded:
    failure: DgridError | None


@dataclass(frozen=True, slots=True)
class _Resized:
    pass


_Entry = _Ended | _EventsLost | _OutputEnded | _Resized | None
"""What wakes the supervisor; None is a signal."""


class Supervisor:
    """Watches a run from before its first start. Its methods are for the main thread; readers feed ``_inbox``."""

    def __init__(
        self,
        plan: Plan,
        ids: ContainerIds,
        cluster: Cluster,
        streams: Streams,
        stop: StopSignals,
        narrator: Narrator,
        logs: LogDirectory | None,
    ) -> None:
        self._plan = plan
        self._ids = ids
        self._cluster = cluster
        self._streams = streams
        self._stop = stop
        self._narrator = narrator
        self._logs = logs
        self._inbox: SimpleQueue[_Entry] = SimpleQueue()
        self._instances = {ids[one.name]: one for one in plan.instances}
        self._ended: set[str] = set()
        self._restarts: dict[str, int] = {}
        self._output_ended = False
        self._events: list[EventStream] = []

    def watch_workers(self) -> None:
        """Before the workers' start: subscribe to their ends, and to their output where it is kept."""
        for machine in self._cluster.machines:
            self._subscribe(machine)
        if self._logs is not None:
            for worker in self._plan.instances:
                if not worker.container.interactive:
                    attached = self._engine(worker).attach(self._ids[worker.name], tty=False, stdin=False)
                    Pump(attached, (self._logs.sink(worker.name),), lambda _failure: None).start()

    def run_head(self) -> int:
        """Attach to the head container, start it, stay until it ends; returns its exit code.

        Raises Stopped, WorkerFailed, StartError, OutputError, or the error of the head's own node.
        """
        head = self._plan.head
        attached = self._engine(head).attach(self._ids[head.name], tty=head.request.tty, stdin=True)
        kept = (self._logs.sink(head.name),) if self._logs else ()
        sinks = (to_streams(self._streams), *kept)
        Pump(attached, sinks, lambda failure: self._inbox.put(_OutputEnded(failure))).start()
        with self._stop.waking(self._inbox), self._terminal(head):
            self._stop.check()
            start(head, self._ids[head.name], self._cluster)
            StdinPump(attached, self._streams.stdin).start()
            self._inbox.put(_Resized())
            try:
                return self._until_head_ends()
            finally:
                attached.close()  # an engine waits for a reader that has stopped before it ends the container
                self._close_events()

    def _until_head_ends(self) -> int:
        for machine in self._cluster.machines:
            self._look_for_ended(machine)  # those that ended before anybody listened
        while True:
            code = self._head_code()
            if code is not None:
                self._drain_output()
                return code
            if self._stop.received:
                self._end_head()
            self._handle(self._next_entry())

    def _next_entry(self) -> _Entry:
        # With its output ended, the head is about to end: do not rely on the event alone.
        try:
            return self._inbox.get(timeout=_LOOK_AGAIN_S if self._output_ended else 30.0)
        except Empty:
            self._look_for_ended(self._cluster.machine(self._plan.head.node))
            return None

    def _handle(self, entry: _Entry) -> None:
        match entry:
            case _Ended(container_id):
                self._worker_ended(container_id)
            case _OutputEnded(failure):
                self._output_ended = True
                if failure is not None:
                    raise failure
                self._look_for_ended(self._cluster.machine(self._plan.head.node))
            case _EventsLost(machine):
                self._events_lost(machine)
            case _Resized():
                self._resize()

    def _head_code(self) -> int | None:
        container_id = self._ids[self._plan.head.name]
        if container_id not in self._ended:
            return None
        state = self._engine(self._plan.head).state(container_id)
        if state.out_of_memory:
            self._narrator.note(_out_of_memory(self._plan.head))
        return state.exit_code

    def _drain_output(self) -> None:
        deadline = time.monotonic() + _OUTPUT_DRAIN_S
        while not self._output_ended:
            try:
                entry = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                self._narrator.note("the head container has ended, but the end of its output did not arrive")
                break
            if entry is None and len(self._stop.received) > 1:
                break
            if isinstance(entry, _OutputEnded):
                self._handle(entry)

    def _end_head(self) -> None:
        """Pass the signal on, and wait for the head's grace or a second signal. Raises Stopped."""
        head, signal = self._plan.head, self._stop.received[0]
        grace_s = self._cluster.settings.grace_s if head.container.stop_grace_s is None else head.container.stop_grace_s
        deadline = time.monotonic() + grace_s
        with contextlib.suppress(NodeError):  # the teardown, which follows, says what is wrong
            self._engine(head).kill(self._ids[head.name], signal.name)
            while len(self._stop.received) == 1 and time.monotonic() < deadline:
                if not self._engine(head).state(self._ids[head.name]).running:
                    self._drain_quietly()
                    break
                with contextlib.suppress(Empty):
                    self._inbox.get(timeout=0.05)
        self._stop.check()

    def _drain_quietly(self) -> None:
        deadline = time.monotonic() + 2
        while not self._output_ended and time.monotonic() < deadline:
            with contextlib.suppress(Empty):
                self._output_ended = isinstance(self._inbox.get(timeout=0.1), _OutputEnded)

    def _worker_ended(self, container_id: str) -> None:
        instance = self._instances.get(container_id)
        if instance is None or container_id in self._ended:
            return
        if instance.container.interactive:
            self._ended.add(container_id)
            return
        state = self._engine(instance).state(container_id)
        if state.running:
            return  # an old event of one that was started again
        if state.exit_code and self._start_again(instance, state):
            return
        self._ended.add(container_id)
        if state.exit_code:
            self._worker_failed(instance, state)

    def _start_again(self, instance: Instance, state: ContainerState) -> bool:
        if instance.container.failure_policy is not FailurePolicy.RESTART:
            return False
        done = self._restarts.get(instance.name, 0)
        if done >= instance.container.max_restarts:
            return False
        self._restarts[instance.name] = done + 1
        self._narrator.note(
            f"{instance.node.name}: {instance.name} ended with exit code {state.exit_code}; "
            f"starting it again ({done + 1} of {instance.container.max_restarts})"
        )
        start(instance, state.container_id, self._cluster)
        return True

    def _worker_failed(self, instance: Instance, state: ContainerState) -> None:
        text = f"{instance.node.name}: {instance.name} ended with exit code {state.exit_code}"
        if state.out_of_memory:
            text = _out_of_memory(instance)
        with contextlib.suppress(NodeError):
            tail = self._engine(instance).tail(state.container_id, _TAIL_LINES)
            self._narrator.output(f"last lines of {instance.name} on {instance.node.name}", tail)
        if instance.container.failure_policy is FailurePolicy.FAIL_RUN:
            raise WorkerFailed(f'{text}, and its failure_policy is "fail_run"')
        self._narrator.note(f"{text}; the run goes on")

    def _subscribe(self, machine: Machine) -> None:
        events = machine.engine.events({LABEL_SESSION: self._plan.session})
        self._events.append(events)

        def read() -> None:
            for end in events.ends():
                self._inbox.put(_Ended(end.container_id))
            self._inbox.put(_EventsLost(machine))

        threading.Thread(target=read, daemon=True).start()

    def _events_lost(self, machine: Machine) -> None:
        """The engine was restarted, or the node is lost. Whatever ended meanwhile is found by looking."""
        try:
            self._subscribe(machine)
            self._look_for_ended(machine)
        except NodeError as error:
            local = any(node.is_local for node in machine.nodes)
            lost = [one for one in self._plan.instances if one.node in machine.nodes]
            must_end = any(one.container.failure_policy is FailurePolicy.FAIL_RUN for one in lost)
            if local or must_end:
                raise
            names = ", ".join(one.name for one in lost)
            self._narrator.note(f"{error}; lost with it: {names}; the run goes on")
            self._ended.update(self._ids[one.name] for one in lost)

    def _look_for_ended(self, machine: Machine) -> None:
        """Find ends that no event told of. Raises NodeError."""
        expected = [one for one in self._plan.instances if one.node in machine.nodes]
        running = set(machine.engine.containers({LABEL_SESSION: self._plan.session}, running_only=True))
        for instance in expected:
            container_id = self._ids[instance.name]
            if container_id not in running and container_id not in self._ended:
                self._inbox.put(_Ended(container_id))

    def _resize(self) -> None:
        if self._plan.head.request.tty:
            rows, columns = size(self._streams.stdout)
            with contextlib.suppress(NodeError):  # it may just have ended
                self._engine(self._plan.head).resize(self._ids[self._plan.head.name], rows, columns)

    @contextlib.contextmanager
    def _terminal(self, head: Instance) -> Iterator[None]:
        if not head.request.tty:
            yield
            return
        with raw_terminal(self._streams.stdin), on_resize(self._inbox, _Resized()):
            yield

    def _close_events(self) -> None:
        for events in self._events:
            events.close()

    def _engine(self, instance: Instance) -> Engine:
        return self._cluster.engine(instance.node)


def _out_of_memory(instance: Instance) -> str:
    limit = instance.container.resources.memory_bytes
    of = f"its limit of {format_size(limit)}" if limit else "the memory there was"
    return f"{instance.node.name}: {instance.name} was killed because it used up {of}"
