"""Long-lived byte streams of the engine's API: attach, events, logs. Docker Engine API, "Attach to a container".

These go over connections of their own, without a timeout; control calls have theirs (see docker_api.py).
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from dgrid.errors import EngineError
from dgrid.nodes.link import Stream

_CHUNK = 1 << 18
_STDERR = 2


class AttachStream:
    """Both directions of an attached container. Reading and writing may be done by two threads."""

    def __init__(self, stream: Stream, rest: bytes, tty: bool, half_close: Callable[[Stream], None]) -> None:
        self._stream = stream
        self._buffer = bytearray(rest)
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
        return self._raw_chunks() if self._tty else self._frames()

    def close(self) -> None:
        """Cut the stream; ``chunks`` in another thread ends."""
        self._stream.close()

    def _raw_chunks(self) -> Iterator[tuple[bool, bytes]]:
        if self._buffer:
            yield False, bytes(self._buffer)
        while data := self._receive():
            yield False, data

    def _frames(self) -> Iterator[tuple[bool, bytes]]:
        """Without a terminal each piece has 8 bytes before it: stream number, three zeros, big-endian length."""
        while self._fill(8):
            is_stderr = self._buffer[0] == _STDERR
            left = int.from_bytes(self._buffer[4:8], "big")
            del self._buffer[:8]
            while left:
                if not self._fill(1):
                    return
                piece = bytes(self._buffer[:left])
                del self._buffer[: len(piece)]
                left -= len(piece)
                yield is_stderr, piece

    def _fill(self, size: int) -> bool:
        while len(self._buffer) < size:
            data = self._receive()
            if not data:
                return False
            self._buffer += data
        return True

    def _receive(self) -> bytes:
        try:
            return self._stream.recv(_CHUNK)
        except (OSError, EOFError):
            return b""


def hijack(node: str, stream: Stream, path: str, half_close: Callable[[Stream], None], tty: bool) -> AttachStream:
    """Turn an HTTP connection into an attached container's raw stream. Raises EngineError."""
    request = (
        f"POST {path} HTTP/1.1\r\nHost: engine\r\nUpgrade: tcp\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n"
    )
    stream.sendall(request.encode())
    received = b""
    while b"\r\n\r\n" not in received:
        data = stream.recv(4096)
        if not data:
            raise EngineError(node, "the engine ended the connection instead of attaching")
        received += data
    header, _, rest = received.partition(b"\r\n\r\n")
    status = int(header.split(None, 2)[1])
    if status not in (101, 200):
        raise EngineError(node, f"the engine refuses to attach: {_message(rest)}", status)
    stream.settimeout(None)
    return AttachStream(stream, rest, tty, half_close)


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """A container's end, as an event of the engine tells it; the exit code is to be had from its state."""

    container_id: str


class _LineStream:
    def __init__(self, node: str, stream: Stream, path: str) -> None:
        self._node = node
        self._stream = stream
        connection = http.client.HTTPConnection("engine")
        connection.sock = cast(socket.socket, stream)
        connection.request("GET", path)
        self._response = connection.getresponse()
        if self._response.status != 200:
            raise EngineError(node, _message(self._response.read()), self._response.status)
        stream.settimeout(None)

    def close(self) -> None:
        """Cut the stream; a reader in another thread ends."""
        self._stream.close()


class EventStream(_LineStream):
    """The ends of containers, until the engine or the connection goes away."""

    def ends(self) -> Iterator[ContainerEnd]:
        """Blocks for the next one; ends when the stream does."""
        while line := self._line():
            event = json.loads(line)
            yield ContainerEnd(event["id"] if "id" in event else event["Actor"]["ID"])

    def _line(self) -> bytes:
        try:
            return self._response.readline()
        except (OSError, EOFError, ValueError, AttributeError, http.client.HTTPException):
            return b""  # closed by close() in another thread, or cut


class LogStream(_LineStream):
    """The log of a container without a terminal, framed as attach is."""

    def text_contains(self, text: str) -> bool:
        """Read on until ``text`` has been written: true; or until the log ends: false. Blocks."""
        wanted, seen = text.encode(), b""
        while header := self._read(8):
            seen += self._read(int.from_bytes(header[4:8], "big"))
            if wanted in seen:
                return True
            seen = seen[-len(wanted) :] if len(wanted) < len(seen) else seen
        return False

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                more = self._response.read(size - len(data))
            except (OSError, EOFError, ValueError, AttributeError, http.client.HTTPException):
                return b""
            if not more:
                return b""
            data += more
        return data


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip() or "no message"
