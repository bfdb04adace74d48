"""dgrid's own streams joined to what goes on in a run already: to its head, or to a new command in a container."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

from dgrid.errors import DgridError, EngineNotFound, NodeError, OutputError, Stopped
from dgrid.nodes import look_calls
from dgrid.nodes.container_stream import AttachStream
from dgrid.nodes.head_session import OutputEnded, Resized
from dgrid.nodes.machine import Machine
from dgrid.nodes.output import Pump, Sink, StdinPump, to_streams
from dgrid.nodes.signals import StopSignals, on_resize
from dgrid.nodes.terminal import Streams, raw_terminal, size
from dgrid.record import record

_BACKLOG_BYTES = 64 << 20
_END_S = 1.0
_POLL_S = 0.05
_WAKE_S = 1.0
_KILL_S = 3.0


@record
class Attached:
    """How an attachment came to its end. ``exit_code`` is the head's, None when it runs on or nobody can tell."""

    is_over: bool
    exit_code: int | None
    bytes_left_out: int


class Backlog(threading.Thread):
    """A sink that never keeps its giver waiting: what a slow reader leaves waits here, and the excess is left out.

    A run's head stops when somebody who attached to it does not read.
    """

    def __init__(self, sink: Sink, at_failure: Callable[[DgridError], None]) -> None:
        super().__init__(daemon=True)
        self._sink = sink
        self._at_failure = at_failure
        self._changed = threading.Condition()
        self._waiting: deque[tuple[bool, bytes]] = deque()
        self._bytes = 0
        self._left_out = 0
        self._over = False

    def put(self, is_stderr: bool, data: bytes) -> None:
        """Take bytes, at once."""
        with self._changed:
            if self._bytes + len(data) > _BACKLOG_BYTES:
                self._left_out += len(data)
                return
            self._bytes += len(data)
            self._waiting.append((is_stderr, data))
            self._changed.notify()

    def finish(self, stop: StopSignals) -> int:
        """Wait until all is written; returns how many bytes were left out. Raises Stopped."""
        with self._changed:
            self._over = True
            self._changed.notify()
        while self.is_alive():
            self.join(_POLL_S)
            stop.check()
        return self._left_out

    def run(self) -> None:
        while (piece := self._next()) is not None:
            try:
                self._sink(*piece)
            except DgridError as error:
                self._at_failure(error)
                return

    def _next(self) -> tuple[bool, bytes] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over)
            if not self._waiting:
                return None
            piece = self._waiting.popleft()
            self._bytes -= len(piece[1])
            return piece


def run_command(
    machine: Machine, container_id: str, argv: tuple[str, ...], user: str, streams: Streams, stdin: bool, tty: bool,
    stop: StopSignals,
) -> int:  # fmt: skip
    """Run a command in a container with dgrid's streams; returns its exit code.

    A signal is passed on to it, and then raised as Stopped. Raises EngineError, LinkError, OutputError.
    """
    execution = look_calls.Execution(machine, container_id, argv, user, tty, stdin)
    inbox: SimpleQueue[Any] = SimpleQueue()
    refusal, write = look_calls.Refusal(), to_streams(streams)

    def sink(is_stderr: bool, data: bytes) -> None:
        write(is_stderr or refusal.notices(data), data)

    Pump(execution.attached, (sink,), lambda failure: inbox.put(OutputEnded(failure))).start()
    try:
        with _joined(execution.attached, streams, stdin, tty, execution.resize, inbox):
            _until_output_ends(inbox, stop, lambda: _resize(execution.resize, streams))
        return refusal.exit_code(exit_code_of(execution, machine))
    except (Stopped, OutputError) as error:
        with contextlib.suppress(NodeError):  # it has ended, or cannot be reached: then nothing is to be done here
            execution.signal("SIGPIPE" if isinstance(error, OutputError) else stop.received[0].name)
        raise
    finally:
        execution.attached.close()


def attach(
    machine: Machine, container_id: str, streams: Streams, stdin: bool, tty: bool, stop: StopSignals,
    at_start: Callable[[], None],
) -> Attached:  # fmt: skip
    """Join dgrid's streams to a running head until it ends; a signal detaches, and is raised as Stopped.

    ``at_start`` is called when they are joined.
    """
    inbox: SimpleQueue[Any] = SimpleQueue()
    attached = look_calls.attach(machine, container_id, tty, stdin)
    ended: SimpleQueue[int] = SimpleQueue()
    threading.Thread(target=_wait, args=(machine, container_id, ended), daemon=True).start()
    backlog = Backlog(to_streams(streams), lambda failure: inbox.put(OutputEnded(failure)))
    backlog.start()
    Pump(attached, (backlog.put,), lambda failure: inbox.put(OutputEnded(failure))).start()

    def resize(rows: int, columns: int) -> None:
        machine.engine.resize(container_id, rows, columns)

    try:
        with _joined(attached, streams, stdin, tty, resize, inbox):
            at_start()
            _until_output_ends(inbox, stop, lambda: _resize(resize, streams))
    finally:
        attached.close()
    return Attached(*_how_it_ended(machine, container_id, ended), backlog.finish(stop))


@contextlib.contextmanager
def _joined(
    attached: AttachStream, streams: Streams, stdin: bool, tty: bool, resize: Callable[[int, int], None],
    inbox: SimpleQueue[Any],
) -> Iterator[None]:  # fmt: skip
    with contextlib.ExitStack() as stack:
        if tty and streams.are_terminal():
            stack.enter_context(raw_terminal(streams.stdin))
            stack.enter_context(on_resize(inbox, Resized()))
            _resize(resize, streams)
        if stdin:
            StdinPump(attached, streams.stdin).start()
        yield


def _until_output_ends(inbox: SimpleQueue[Any], stop: StopSignals, resized: Callable[[], None]) -> None:
    with stop.waking(inbox):
        stop.check()
        while True:
            match _next_entry(inbox):
                case OutputEnded(failure):
                    if failure is not None:
                        raise failure
                    return
                case Resized():
                    resized()
                case None:
                    stop.check()


def _next_entry(inbox: SimpleQueue[Any]) -> Any:
    try:
        # Not for ever: a signal that arrives in the moment before the main thread waits does not wake it.
        return inbox.get(timeout=_WAKE_S)
    except Empty:
        return None


def _resize(resize: Callable[[int, int], None], streams: Streams) -> None:
    with contextlib.suppress(NodeError):  # it may just have ended
        resize(*size(streams.stdout))


def exit_code_of(execution: look_calls.Execution, machine: Machine) -> int:
    """A command's exit code, its output having ended: the engine notes its end a moment later. Raises NodeError."""
    deadline = time.monotonic() + _END_S
    try:
        while (code := execution.exit_code()) is None:
            if time.monotonic() > deadline:
                raise NodeError(machine.name, "the command's output ended or broke off, but it runs on there")
            time.sleep(_POLL_S)
    except EngineNotFound as error:
        raise NodeError(machine.name, "the container was removed, and the command ended with it") from error
    return code


def _wait(machine: Machine, container_id: str, ended: SimpleQueue[int]) -> None:
    with contextlib.suppress(NodeError):  # whoever reads the output notices, too
        ended.put(look_calls.wait_for_end(machine, container_id))


def _how_it_ended(machine: Machine, container_id: str, ended: SimpleQueue[int]) -> tuple[bool, int | None]:
    """(whether it has, exit code if known). Raises NodeError when the node or its engine is lost."""
    try:
        return True, ended.get(timeout=_END_S)
    except Empty:
        pass
    try:
        state = machine.engine.state(container_id)
    except EngineNotFound:
        return True, None
    return not state.running, state.exit_code
