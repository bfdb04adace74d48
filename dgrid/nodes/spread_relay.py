"""The relay of a spread: takes an image's bytes in on one node, gives them to its engine and to other nodes' relays.

It runs on the nodes, where dgrid is not: spread_station sends it there with spread_window and spread_wire, so these
three import nothing else of dgrid, and need Python 3.7 or newer. It says where it listens, takes commands there and
tells events, all as lines of JSON. Of the image it holds at most 40 MiB, in memory and never on disk. When dgrid's
connection ends, so does it.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import shutil
import socket
import ssl
import struct
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from dgrid.nodes.spread_window import Window
from dgrid.nodes.spread_wire import (
    NOTHING_YET,
    PIECE,
    SILENCE_S,
    connect_to_one,
    copy_without,
    engine_http,
    listen_anywhere,
    message,
    pieces,
    read_line,
    refusal,
    shut,
)

_SAY_EVERY_S = 1.0
_ENGINE_S = 120.0  # an engine that takes nothing for so long is given up
_OWN = ""  # the place of the node's own engine


class Relay:
    """One node's part, led by commands: each is a method here, named by ``do``."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._speaking = threading.Lock()
        self._window = Window()
        self._node = ""
        self._engine = ""
        self._listener = listen_anywhere()
        self._server, self._client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._upstream: socket.socket | None = None
        self._receiver: threading.Thread | None = None
        self._takers: dict[str, tuple[str, socket.socket]] = {}
        self._numbers = itertools.count()

    def say(self, event: str, **more: Any) -> None:
        with self._speaking:
            self._control.sendall(json.dumps({"event": event, **more}).encode() + b"\n")

    def set_up(self, node: str, engine: str, load: str | None, certificate: str) -> None:
        """Take the run's own certificate, and start listening and, where there is something to load, loading."""
        self._node, self._engine = node, engine
        with tempfile.NamedTemporaryFile("w", prefix="dgrid-") as file:  # ssl reads keys from files only
            file.write(certificate)
            file.flush()
            for context in (self._server, self._client):
                # Both sides have the one certificate of this spread, and no other counts.
                context.check_hostname = False
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_cert_chain(file.name)
                context.load_verify_locations(file.name)
        _start(self._accept)
        if load is not None:
            self._window.join(_OWN, 0)
            _start(self._load, load)
        self.say("up", port=self._listener.getsockname()[1])

    def fetch(self, path: str, without: list[str]) -> None:
        """Take the image out of this node's engine, but for the parts of these names."""
        _start(self._fetch, path, without)

    def receive(self, source: str, addresses: list[str], port: int) -> None:
        """Take the stream from another node's relay, from where it is here; leave the one it came from."""
        before, self._receiver = self._receiver, threading.Thread(
            target=self._receive, args=(self._receiver, source, addresses, port), daemon=True
        )  # fmt: skip
        if before is not None and self._upstream is not None:
            shut(self._upstream)
        self._receiver.start()

    def release(self, node: str) -> None:
        """That node takes nothing from here any more."""
        for place, (taker, connection) in list(self._takers.items()):
            if taker == node:
                del self._takers[place]
                self._window.leave(place)
                shut(connection)

    def heartbeat(self) -> None:
        """Say once a second how far the stream has come here."""
        while True:
            self.say("alive", received=self._window.end)
            time.sleep(_SAY_EVERY_S)

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            _start(self._serve, connection)

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), plain:  # whoever was cut off comes again, or dgrid releases it
            plain.settimeout(SILENCE_S)
            with self._server.wrap_socket(plain, server_side=True) as taker:
                wanted = json.loads(read_line(taker))
                place = f"{wanted['node']} {next(self._numbers)}"
                there = self._window.join(place, wanted["start"])
                taker.sendall(json.dumps({"there": there}).encode() + b"\n")
                if there:
                    self.release(wanted["node"])  # where it was cut off before, it may still look connected
                    self._takers[place] = (wanted["node"], taker)
                    taker.settimeout(None)
                    self._send(place, taker)

    def _send(self, place: str, taker: socket.socket) -> None:
        piece: bytes | None = None
        while piece != b"":
            piece = self._window.take(place, SILENCE_S / 5)
            length = NOTHING_YET if piece is None else len(piece)
            taker.sendall(struct.pack(">I", length) + (piece or b""))
        self._window.leave(place)

    def _receive(self, before: threading.Thread | None, source: str, addresses: list[str], port: int) -> None:
        if before is not None:
            before.join()  # a piece it was putting down counts
        reached = False
        try:
            with self._client.wrap_socket(connect_to_one(addresses, port)) as stream:
                self._upstream = stream
                if threading.current_thread() is not self._receiver:
                    return  # told to go elsewhere meanwhile
                stream.sendall(json.dumps({"node": self._node, "start": self._window.end}).encode() + b"\n")
                reached = True
                if not json.loads(read_line(stream))["there"]:
                    self.say("gone", source=source)
                    return
                self.say("connected", source=source)
                for piece in pieces(stream):
                    self._window.put(piece)
            self._window.finish()
        except (OSError, ValueError) as error:
            if threading.current_thread() is self._receiver:
                self.say("cut", source=source, reached=reached, why=str(error) or type(error).__name__)

    def _fetch(self, path: str, without: list[str]) -> None:
        try:
            connection = engine_http(self._engine, None)
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status != 200:
                self.say("no source", why=message(response.read()))
                return
            if without:
                copy_without(response, self._window.put, without)
            else:
                for piece in iter(lambda: response.read(PIECE), b""):
                    self._window.put(piece)
            self._window.finish()
        except (OSError, http.client.HTTPException, tarfile.TarError) as error:
            self.say("no source", why=f"its engine broke off ({error!r})")

    def _load(self, path: str) -> None:
        try:
            connection = engine_http(self._engine, _ENGINE_S)
            connection.putrequest("POST", path)
            connection.putheader("Content-Type", "application/x-tar")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it says why in its answer
                for piece in self._for_engine():
                    connection.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
                connection.send(b"0\r\n\r\n")
            assert connection.sock is not None
            connection.sock.settimeout(None)
            response = connection.getresponse()
            answer = response.read()
            why = refusal(answer) if response.status == 200 else message(answer)
            self.say("loaded") if why is None else self.say("refused", why=why)
        except (OSError, http.client.HTTPException) as error:
            self.say("refused", why=f"its engine broke off ({error or type(error).__name__})")
        finally:
            self._window.leave(_OWN)

    def _for_engine(self) -> Iterator[bytes]:
        while True:
            piece = self._window.take(_OWN, 60)
            if piece == b"":
                return
            if piece is not None:
                yield piece


def _start(work: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def main(directory: str) -> None:
    """Serve one connection of dgrid's, made to a socket in this directory, which is removed."""
    _start(_end_with_input)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.settimeout(60)
        listener.bind(f"{directory}/relay")
        listener.listen(1)
        os.write(1, f"relay {directory}/relay\n".encode())
        try:
            control, _ = listener.accept()
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    control.settimeout(None)
    relay = Relay(control)
    _start(relay.heartbeat)
    commands: dict[str, Callable[..., None]] = {
        "set up": relay.set_up, "fetch": relay.fetch, "receive": relay.receive, "release": relay.release
    }  # fmt: skip
    for line in control.makefile("r"):
        command = json.loads(line)
        commands[command.pop("do")](**command)
    os._exit(0)
