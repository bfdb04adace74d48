"""Long-lived byte streams of the engine's API: attach, events, logs. Docker Engine API, "Attach to a container".

These go over connections of their own, without a timeout; control calls have theirs (see docker_api.py).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dgrid.errors import EngineError, EngineNotFound
from dgrid.nodes.link import Stream

_CHUNK = 1 << 18
_HEADER = 8
_STDERR = 2
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"[0-9a-f]{1,8}", re.IGNORECASE)


class AttachStream:
    """Both directions of an attached container. Reading and writing may be done by two threads."""

    def __init__(self, stream: Stream, rest: bytes, tty: bool, half_close: Callable[[Stream], None]) -> None:
        self._stream = stream
        self._body = _Body(stream, _Answer(False, rest))
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
        return _unframe(self._body.pieces())

    def close(self) -> None:
        """Cut the stream; ``chunks`` in another thread ends."""
        self._body.close()


def _unframe(pieces: Iterator[bytes]) -> Iterator[tuple[bool, bytes]]:
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
    answer = _ask(node, stream, f"{head}\r\nContent-Length: {len(body)}", body)
    return AttachStream(stream, answer.rest, tty, half_close)


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """A container's end, as an event of the engine tells it; the exit code is to be had from its state."""

    container_id: str


class EventStream:
    """The ends of containers, until the engine or the connection goes away."""

    def __init__(self, node: str, stream: Stream, path: str) -> None:
        self._body = _Body(stream, _ask(node, stream, f"GET {path} HTTP/1.1"))

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
        self._body = _Body(stream, _ask(node, stream, f"GET {path} HTTP/1.1"))

    def chunks(self) -> Iterator[tuple[bool, bytes]]:
        """(is stderr, bytes) as they come, until the log ends or is cut."""
        return _unframe(self._body.pieces())

    def text_contains(self, text: str) -> bool:
        """Read on until ``text`` has been written: true; or until the log ends: false. Blocks."""
        wanted, seen = text.encode(), b""
        for _is_stderr, piece in _unframe(self._body.pieces()):
            seen = seen[-len(wanted) :] + piece
            if wanted in seen:
                return True
        return False

    def close(self) -> None:
        """Cut the stream; a reader in another thread ends."""
        self._body.close()


@dataclass(frozen=True, slots=True)
class _Answer:
    chunked: bool
    rest: bytes


def _ask(node: str, stream: Stream, request: str, body: bytes = b"") -> _Answer:
    """Send a request and read the answer's header; ``rest`` is what came after it.

    Raises EngineError, or what the stream raises; the stream is closed then.
    """
    try:
        stream.sendall(f"{request}\r\nHost: engine\r\n\r\n".encode() + body)
        header, rest = _read_header(node, stream)
        found = _STATUS.match(header)
        if found is None:
            raise EngineError(node, "what listens there does not speak HTTP; is it a container engine's socket?")
        status, answer = int(found[1]), _Answer(_CHUNKED.search(header) is not None, rest)
        if status not in (101, 200):
            kind = EngineNotFound if status == 404 else EngineError
            raise kind(node, f"the engine refuses: {_message(_whole_body(stream, header, answer))}", status)
    except BaseException:
        stream.close()
        raise
    stream.settimeout(None)
    return answer


def _read_header(node: str, stream: Stream) -> tuple[bytes, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        data = stream.recv(4096)
        if not data:
            raise EngineError(node, "the engine ended the connection instead of answering")
        received += data
    header, _, rest = received.partition(b"\r\n\r\n")
    return header, rest


def _whole_body(stream: Stream, header: bytes, answer: _Answer) -> bytes:
    if answer.chunked:
        return b"".join(_Body(stream, answer).pieces())
    length = _LENGTH.search(header)
    wanted, body = int(length[1]) if length else sys.maxsize, answer.rest
    while len(body) < wanted and (data := stream.recv(4096)):
        body += data
    return body


class _Body:
    """The body of an answer that has no end of its own (RFC 9112, section 7.1, where it is chunked)."""

    def __init__(self, stream: Stream, answer: _Answer) -> None:
        self._stream = stream
        self._chunked = answer.chunked
        self._buffer = answer.rest

    def pieces(self) -> Iterator[bytes]:
        """Bytes as they come; ends when the stream does or is cut."""
        if not self._chunked:
            if self._buffer:
                yield self._buffer
            yield from iter(self._receive, b"")
            return
        while size := self._chunk_size():
            while size:
                if not self._buffer and not self._more():
                    return
                piece, self._buffer = self._buffer[:size], self._buffer[size:]
                size -= len(piece)
                yield piece

    def close(self) -> None:
        self._stream.close()

    def _chunk_size(self) -> int:
        self._buffer = self._buffer.removeprefix(b"\r\n")
        while b"\n" not in self._buffer[2:]:
            if not self._more():
                return 0
            self._buffer = self._buffer.removeprefix(b"\r\n")
        line, _, self._buffer = self._buffer.partition(b"\n")
        size = _CHUNK_SIZE.match(line)
        return int(size[0], 16) if size else 0

    def _more(self) -> bool:
        data = self._receive()
        self._buffer += data
        return bool(data)

    def _receive(self) -> bytes:
        try:
            return self._stream.recv(_CHUNK)
        except (OSError, EOFError):
            return b""


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip() or "no message"
