"""The head container, joined to dgrid's own streams."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

from dgrid.errors import DgridError, NodeError
from dgrid.nodes.container_stream import AttachStream
from dgrid.nodes.engine import ContainerState, Engine
from dgrid.nodes.output import Pump, Sink, StdinPump
from dgrid.nodes.signals import on_resize
from dgrid.nodes.terminal import Streams, raw_terminal, size
from dgrid.plan.plan import Instance
from dgrid.record import record

_POLL_S = 0.05


@record
class OutputEnded:
    """The head's output has ended, or cannot be written any more."""

    failure: DgridError | None


@record
class Resized:
    """dgrid's terminal has another size."""


@record
class SignalObeyed:
    """The head has ended after a signal, or cannot be reached any more."""


class HeadSession:
    """Attached to the head from before its start, so that no byte is lost. Tells ``inbox`` of the output's end."""

    def __init__(
        self, head: Instance, container_id: str, engine: Engine, streams: Streams, sinks: tuple[Sink, ...],
        inbox: SimpleQueue[Any],
    ) -> None:  # fmt: skip
        self.head = head
        self.output_ended = False
        self._container_id = container_id
        self._engine = engine
        self._streams = streams
        self._inbox = inbox
        self._sinks = sinks
        self._attached = self._attach()

    def _attach(self) -> AttachStream:
        attached = self._engine.attach(self._container_id, tty=self.head.request.tty, stdin=True)
        Pump(attached, self._sinks, lambda failure: self._inbox.put(OutputEnded(failure))).start()
        return attached

    def attach_again(self) -> bool:
        """Take up its output again after its stream broke; false if it does not run any more. Raises EngineError."""
        if not self.state().running:
            return False
        self._attached = self._attach()
        self.output_ended = False
        return True

    def give_stdin(self) -> None:
        """From now on, the head being started, dgrid's stdin goes to it."""
        StdinPump(self._attached, self._streams.stdin).start()
        self.resize()

    @contextlib.contextmanager
    def terminal(self) -> Iterator[None]:
        """Within it, if the head has a terminal, it is dgrid's own, every key and its size."""
        if not self.head.request.tty:
            yield
            return
        with raw_terminal(self._streams.stdin), on_resize(self._inbox, Resized()):
            yield

    def resize(self) -> None:
        """Give the head's terminal the size of dgrid's."""
        if self.head.request.tty:
            rows, columns = size(self._streams.stdout)
            with contextlib.suppress(NodeError):  # it may just have ended
                self._engine.resize(self._container_id, rows, columns)

    def pass_on(self, name: str) -> None:
        """Send the head the signal ``name``; what comes of that is its own affair."""
        threading.Thread(target=self._send, args=(name,), daemon=True).start()

    @contextlib.contextmanager
    def signalled(self, name: str) -> Iterator[None]:
        """Within it the head has the signal ``name``; SignalObeyed comes when it has ended of it.

        In a thread of its own, since an engine that hangs, or waits for the reader of the head's output (Docker does
        not even inspect a container meanwhile), must not keep a second signal from ending the run at once.
        """
        over = threading.Event()
        threading.Thread(target=self._signal, args=(name, over), daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _send(self, name: str) -> None:
        with contextlib.suppress(NodeError):  # an engine that has gone is noticed elsewhere
            self._engine.kill(self._container_id, name)

    def _signal(self, name: str, over: threading.Event) -> None:
        with contextlib.suppress(NodeError):  # the teardown, which follows, says what is wrong
            self._engine.kill(self._container_id, name)
            while not over.is_set() and self.state().running:
                over.wait(_POLL_S)
        self._inbox.put(SignalObeyed())

    def state(self) -> ContainerState:
        """How the head is. Raises EngineError."""
        return self._engine.state(self._container_id)

    def close(self) -> None:
        """Cut the stream: an engine waits for a reader that has stopped before it ends the container."""
        self._attached.close()
