"""Long-lived byte streams of the engine's API: attach, events, logs. Docker Engine API, "Attach to a container".

These go over connections of their own, without a timeout; control calls have theirs (see docker_api.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from dgrid.nodes.engine_wire import Body, ask, refusal
from dgrid.nodes.link import Stream
from dgrid.record import record

_HEADER = 8
_STDERR = 2


class AttachStream:
    """Both directions of an attached container. Reading and writing may be done by two threads."""

    def __init__(self, stream: Stream, body: Body, tty: bool, half_close: Callable[[Stream], None]) -> None:
        self._stream = stream
        self._body = body
        self._tty = tty
        self._half_close = half_close

    def write(self, data: bytes) -> None:
        """Give ``data`` to the container's stdin. Raises OSError once it is closed."""
        self._stream.sendall(data)

    def close_write(self) -> None:
        """End the container's stdin."""
        self._half_close(self._stream)

    def chunks(self) -> Iterator[tuple[bool, bytes]]:
        """(is stderr, bytes) as they come, until the container ends. Ends quietly when the stream is cut."""
        if self._tty:
            return ((False, piece) for piece in self._body.pieces())
        return unframe(self._body.pieces())

    def close(self) -> None:
        """Cut the stream; ``chunks`` in another thread ends."""
        self._body.close()


def unframe(pieces: Iterator[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Without a terminal each write has 8 bytes before it: stream number, three zeros, big-endian length."""
    buffer = bytearray()
    left, is_stderr = 0, False
    for piece in pieces:
        buffer += piece
        while buffer and (left or len(buffer) >= _HEADER):
            if not left:
                is_stderr, left = buffer[0] == _STDERR, int.from_bytes(buffer[4:_HEADER], "big")
                del buffer[:_HEADER]
            part = bytes(buffer[:left])
            del buffer[: len(part)]
            left -= len(part)
            if part:
                yield is_stderr, part


def hijack(
    node: str, stream: Stream, path: str, half_close: Callable[[Stream], None], tty: bool, body: bytes = b""
) -> AttachStream:
    """Turn an HTTP connection into an attached container's, or command's, raw stream. Raises EngineError.

    ``body`` is the JSON that goes with the request.
    """
    head = f"POST {path} HTTP/1.1\r\nUpgrade: tcp\r\nConnection: Upgrade\r\nContent-Type: application/json"
    answered = _open(node, stream, f"{head}\r\nContent-Length: {len(body)}", body)
    return AttachStream(stream, answered.raw(), tty, half_close)


@record
class ContainerEnd:
    """A container's end, as an event of the engine tells it; the exit code is to be had from its state."""

    container_id: str


class EventStream:
    """The ends of containers, until the engine or the connection goes away."""

    def __init__(self, node: str, stream: Stream, path: str) -> None:
        self._body = _open(node, stream, f"GET {path} HTTP/1.1")

    def ends(self) -> Iterator[ContainerEnd]:
        """Blocks for the next one; ends when the stream does, or when what it says makes no sense."""
        received = b""
        for piece in self._body.pieces():
            *lines, received = (received + piece).split(b"\n")
            for line in lines:
                if line.strip():
                    try:
                        end = ContainerEnd(json.loads(line)["Actor"]["ID"])
                    except (ValueError, KeyError, TypeError):
                        return
                    yield end

    def close(self) -> None:
        """Cut the stream; a reader in another thread ends."""
        self._body.close()


class LogStream:
    """The log of a container without a terminal, framed as attach is."""

    def __init__(self, node: str, stream: Stream, path: str) -> None:
        self._body = _open(node, stream, f"GET {path} HTTP/1.1")

    def chunks(self) -> Iterator[tuple[bool, bytes]]:
        """(is stderr, bytes) as they come, until the log ends or is cut."""
        return unframe(self._body.pieces())

    def text_contains(self, text: str) -> bool:
        """Read on until ``text`` has been written: true; or until the log ends: false. Blocks."""
        wanted, seen = text.encode(), b""
        for _is_stderr, piece in unframe(self._body.pieces()):
            seen = seen[-len(wanted) :] + piece
            if wanted in seen:
                return True
        return False

    def close(self) -> None:
        """Cut the stream; a reader in another thread ends."""
        self._body.close()


def _open(node: str, stream: Stream, head: str, body: bytes = b"") -> Body:
    """Send a request whose answer has no end of its own; the answer's body.

    Raises EngineError, or what the stream raises; the stream is closed then.
    """
    try:
        answer = ask(node, stream, head, body)
        if answer.status not in (101, 200):
            raise refusal(node, "the engine refuses", answer.status, b"".join(answer.body.pieces()))
    except BaseException:
        stream.close()
        raise
    stream.settimeout(None)
    return answer.body
