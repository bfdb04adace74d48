"""Calls to one engine's API: each has a deadline, and every failure is an EngineError that tells what was wanted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from dgrid.errors import EngineError, EngineTimeout, EngineUnreachable
from dgrid.nodes.engine_wire import ask, refusal
from dgrid.nodes.link import Dial, Stream, ssh_errors

_AT_ONCE = 8
"""Calls at a time on one engine, which has locks of its own; the others wait their turn."""


class EngineCalls:
    """``EngineCalls("node1", dial, 60).get("/v1.41/info", "ask the engine about itself")["Name"]``.

    Connections are kept open between calls. Safe between threads. ``wanted`` completes "cannot ..."; all calls raise
    EngineNotFound, EngineTimeout, EngineUnreachable or EngineError.
    """

    def __init__(self, node: str, dial: Dial, timeout_s: float) -> None:
        self.node = node
        self._dial = dial
        self._timeout_s = timeout_s
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._idle: list[Stream] = []
        self._closed = False

    def get(self, path: str, wanted: str, /, **query: Any) -> Any:
        """The answer's JSON."""
        return self._parsed(self.call("GET", path, wanted, query), wanted)

    def post(self, path: str, wanted: str, body: Any = None, /, **query: Any) -> Any:
        """The answer's JSON, None if it has none; ``body`` is sent as JSON."""
        data = b"" if body is None else json.dumps(body).encode()
        answer = self.call("POST", path, wanted, query, data, "application/json")
        return self._parsed(answer, wanted) if answer.strip() else None

    def put(self, path: str, wanted: str, data: bytes, content_type: str, /, **query: Any) -> None:
        """Send ``data`` as it is."""
        self.call("PUT", path, wanted, query, data, content_type)

    def delete(self, path: str, wanted: str, /, **query: Any) -> None:
        """Have something removed."""
        self.call("DELETE", path, wanted, query)

    def call(
        self, method: str, path: str, wanted: str, query: Mapping[str, Any] | None = None, data: bytes = b"",
        content_type: str = "",
    ) -> bytes:  # fmt: skip
        """Any call; the answer's body as it is."""
        target = f"{path}?{urlencode(query)}" if query else path
        head = f"{method} {target} HTTP/1.1"
        if method != "GET":
            head += f"\r\nContent-Length: {len(data)}"
        if data:
            head += f"\r\nContent-Type: {content_type}"
        with self._turns, our_own_errors(self.node, wanted):
            status, body = self._exchange(head, data)
        if status >= 400:
            raise refusal(self.node, f"cannot {wanted}", status, body)
        return body

    def close(self) -> None:
        """Close all connections; a call that is under way closes its own."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _parsed(self, body: bytes, wanted: str) -> Any:
        try:
            return json.loads(body)
        except ValueError as error:
            raise EngineError(self.node, f"cannot {wanted}: the engine's answer is no JSON", 200) from error

    def _exchange(self, head: str, data: bytes) -> tuple[int, bytes]:
        stream = self._connection()
        try:
            answer = ask(self.node, stream, head, data)
            body = answer.body.whole()
        except BaseException:
            stream.close()
            raise
        if answer.stays_open and not self._closed:
            self._idle.append(stream)
        else:
            stream.close()
        return answer.status, body

    def _connection(self) -> Stream:
        """An idle connection that still is one, else a new one: an engine that was restarted has closed its own."""
        while True:
            try:
                stream = self._idle.pop()
            except IndexError:
                return self._dial(self._timeout_s)
            if self._is_open(stream):
                return stream
            stream.close()

    def _is_open(self, stream: Stream) -> bool:
        """Whether nothing has come unasked, as the end does."""
        stream.settimeout(0)
        try:
            stream.recv(1)
        except (BlockingIOError, TimeoutError):
            stream.settimeout(self._timeout_s)
            return True
        except (OSError, EOFError):
            pass
        return False


@contextmanager
def our_own_errors(node: str, wanted: str) -> Iterator[None]:
    """Within it, what streams raise leaves as an EngineError that tells what was wanted."""
    try:
        yield
    except TimeoutError as error:
        raise EngineTimeout(node, f"the engine did not answer in time; wanted to {wanted}") from error
    except _broken() as error:
        why = str(error) or type(error).__name__
        raise EngineUnreachable(node, f"lost the engine; wanted to {wanted} ({why})") from error


def _broken() -> tuple[type[Exception], ...]:
    return (OSError, EOFError, *ssh_errors())
