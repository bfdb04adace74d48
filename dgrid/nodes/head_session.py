"""The head container, joined to dgrid's own streams."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from dgrid.errors import DgridError, NodeError
from dgrid.nodes.engine import ContainerState, Engine
from dgrid.nodes.output import Pump, Sink, StdinPump
from dgrid.nodes.signals import on_resize
from dgrid.nodes.terminal import Streams, raw_terminal, size
from dgrid.plan.plan import Instance


@dataclass(frozen=True, slots=True)
class OutputEnded:
    """The head's output has ended, or cannot be written any more."""

    failure: DgridError | None


@dataclass(frozen=True, slots=True)
class Resized:
    """dgrid's terminal has another size."""


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
        self._attached = engine.attach(container_id, tty=head.request.tty, stdin=True)
        Pump(self._attached, sinks, lambda failure: inbox.put(OutputEnded(failure))).start()

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

    def signal(self, name: str) -> None:
        """Send it a signal. Raises EngineError."""
        self._engine.kill(self._container_id, name)

    def state(self) -> ContainerState:
        """How the head is. Raises EngineError."""
        return self._engine.state(self._container_id)

    def close(self) -> None:
        """Cut the stream: an engine waits for a reader that has stopped before it ends the container."""
        self._attached.close()
