"""How the relays of a spread talk to each other and to their engines. Runs on the nodes, see spread_relay."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import tarfile
from collections.abc import Callable, Iterator

PIECE = 256 << 10
NOTHING_YET = 0xFFFFFFFF  # in place of a length: the sender is alive
SILENCE_S = 15.0
_CONNECT_S = 5.0


def pieces(stream: socket.socket) -> Iterator[bytes]:
    stream.settimeout(SILENCE_S)
    while True:
        (length,) = struct.unpack(">I", _exactly(stream, 4))
        if length == 0:
            return
        if length != NOTHING_YET:
            yield _exactly(stream, length)


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = stream.recv(min(size - len(data), PIECE))
        if not part:
            raise OSError("the connection ended")
        data += part
    return bytes(data)


def read_line(stream: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < 4096:
        line += _exactly(stream, 1)
    return line


def connect_to_one(addresses: list[str], port: int) -> socket.socket:
    reasons = []
    for address in addresses:
        try:
            plain = socket.create_connection((address, port), timeout=_CONNECT_S)
            plain.settimeout(SILENCE_S)
            return plain
        except OSError as error:
            reasons.append(f"{address} port {port}: {error.strerror or error}")
    raise OSError("; ".join(reasons))


def listen_anywhere() -> socket.socket:
    for family, address in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        with contextlib.suppress(OSError):
            listener = socket.socket(family, socket.SOCK_STREAM)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind((address, 0))
            listener.listen(16)
            return listener
    raise OSError("cannot listen")


def engine_http(path: str, timeout_s: float | None) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("engine")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(timeout_s)
    connection.sock.connect(path)
    return connection


def copy_without(response: http.client.HTTPResponse, put: Callable[[bytes], None], names: list[str]) -> None:
    """The archive again, but for these members."""
    target = _Putting(put)
    with tarfile.open(fileobj=response, mode="r|") as source, tarfile.open(
        fileobj=target, mode="w|", format=tarfile.PAX_FORMAT, bufsize=PIECE  # type: ignore[call-overload]
    ) as kept:  # fmt: skip
        for member in source:
            if member.name not in names:
                kept.addfile(member, source.extractfile(member) if member.isreg() else None)


class _Putting:
    """A file to write to, for tarfile."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self.write = put


def refusal(answer: bytes) -> str | None:
    """An engine says "200" first and what went wrong later."""
    for line in answer.splitlines():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and event.get("error"):
                return str(event["error"])
    return None


def message(answer: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(answer)["message"])
    return answer.decode(errors="replace").strip() or "no message"


def shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not SSLSocket's own, which may not be called while another thread uses it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
