"""Calls to an engine's API: connections that are kept, answers in pieces, and an engine that misbehaves."""

from __future__ import annotations

import socket
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from unix_servers import unix_server

from dgrid.errors import EngineError, EngineNotFound, EngineTimeout, EngineUnreachable
from dgrid.nodes.engine_calls import EngineCalls, our_own_errors
from dgrid.nodes.link_local import dial_unix

Answers = Callable[[bytes], bytes]


def answer(body: bytes = b"{}", status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Server:
    """An engine that answers each request by ``say``; it counts its connections."""

    def __init__(self, path: Path, say: Answers) -> None:
        self.say = say
        self.connections = 0
        self.requests: list[bytes] = []
        self.calls = EngineCalls("node1", lambda limit_s: dial_unix("node1", str(path), limit_s), 1.0)

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        while request := connection.recv(65536):
            self.requests.append(request)
            said = self.say(request)
            connection.sendall(said)
            if b"Connection: close" in said or said.endswith(b"CUT"):
                return


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[[Answers], Server]]:
    """``engine(say)``: one that answers so."""
    contexts = []

    def start(say: Answers) -> Server:
        server = Server(tmp_path / f"engine{len(contexts)}", say)
        contexts.append(unix_server(tmp_path / f"engine{len(contexts)}", server.serve))
        contexts[-1].__enter__()
        return server

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


def test_one_connection_serves_one_call_after_the_other(engine):
    """The request is whole, and its query quoted."""
    server = engine(lambda _request: answer(b'{"Id": "x"}'))
    assert server.calls.get("/a", "ask", filters='{"label": ["a=b c"]}') == {"Id": "x"}
    assert server.calls.post("/b", "make", {"Image": "ü"}, name="n") == {"Id": "x"}
    server.calls.delete("/c", "remove", force=1)
    assert server.connections == 1
    first, second, third = server.requests
    assert first.startswith(b"GET /a?filters=%7B%22label%22%3A+%5B%22a%3Db+c%22%5D%7D HTTP/1.1\r\n")
    assert second.startswith(b"POST /b?name=n HTTP/1.1\r\nContent-Length: 19\r\nContent-Type: application/json\r\n")
    assert second.endswith(b'\r\n\r\n{"Image": "\\u00fc"}')
    assert third.startswith(b"DELETE /c?force=1 HTTP/1.1\r\nContent-Length: 0\r\n")


def test_a_connection_that_the_engine_has_closed_is_not_used_again(engine):
    """As after a restart: no call fails for that."""
    server = engine(lambda _request: answer() + b"")
    server.calls.get("/a", "ask")
    (stream,) = server.calls._idle
    stream.shutdown(socket.SHUT_RDWR)
    assert server.calls.get("/a", "ask") == {}
    assert server.connections == 2


def test_an_answer_that_ends_the_connection_ends_it(engine):
    """The next call has another one."""
    server = engine(lambda _request: answer(headers="Connection: close\r\n"))
    server.calls.get("/a", "ask")
    server.calls.get("/a", "ask")
    assert server.connections == 2


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body(engine, status):
    """It has no length either, and the connection goes on."""
    server = engine(lambda _request: f"HTTP/1.1 {status}\r\n\r\n".encode())
    assert server.calls.post("/start", "start") is None
    assert server.calls.post("/start", "start") is None
    assert server.connections == 1


def test_a_body_in_chunks(engine):
    """As long lists come; what follows it on the connection is the next answer."""
    body = b'5\r\n{"a":\r\n8;x=y\r\n"bcdefg\n\r\n2\r\n"}\r\n0\r\n\r\n'
    server = engine(lambda _request: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert server.calls.call("GET", "/a", "ask") == b'{"a":"bcdefg\n"}'
    assert server.calls.call("GET", "/a", "ask") == b'{"a":"bcdefg\n"}'
    assert server.connections == 1


def test_refusals_have_the_engines_words(engine):
    """With the status, and 404 as an error of its own; the connection goes on."""
    said = [answer(b'{"message":"no such thing"}', "404 Not Found"), answer(b"busy", "409 Conflict")]
    server = engine(lambda _request: said.pop(0))
    with pytest.raises(EngineNotFound, match="node1: cannot ask: no such thing"):
        server.calls.get("/a", "ask")
    with pytest.raises(EngineError, match="node1: cannot ask: busy") as caught:
        server.calls.get("/a", "ask")
    assert caught.value.status == 409
    assert server.connections == 1


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}CUT",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabCUT",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nCUT",
    ],
)
def test_an_answer_that_is_cut_off_is_no_answer(engine, said):
    """Whether the call was carried out is not known: the error has no status."""
    server = engine(lambda _request: said)
    with pytest.raises(EngineUnreachable, match="lost the engine; wanted to ask") as caught:
        server.calls.get("/a", "ask")
    assert caught.value.status is None


def test_an_answer_that_is_no_json_is_told(engine):
    """The engine has answered all the same."""
    with pytest.raises(EngineError, match="node1: cannot ask: the engine's answer is no JSON") as caught:
        engine(lambda _request: answer(b"<html>")).calls.get("/a", "ask")
    assert caught.value.status == 200


def test_an_engine_is_lost_while_paramiko_is_being_loaded(tmp_path, monkeypatch):
    """By another thread, for another node: the half-loaded module is no reason for another error."""
    monkeypatch.setitem(sys.modules, "paramiko", types.ModuleType("paramiko"))
    nowhere = EngineCalls("node1", lambda limit_s: dial_unix("node1", str(tmp_path / "none"), limit_s), 1)
    with pytest.raises(EngineUnreachable):
        nowhere.get("/a", "ask")
    with pytest.raises(EngineUnreachable), our_own_errors("node1", "ask"):
        raise ConnectionResetError


def test_an_engine_that_says_nothing_is_given_up(engine):
    """And its connection is not used again."""
    silent = threading.Event()

    def say(_request: bytes) -> bytes:
        silent.wait(3)
        return answer()

    server = engine(say)
    with pytest.raises(EngineTimeout, match="the engine did not answer in time; wanted to ask"):
        server.calls.get("/a", "ask")
    silent.set()
    assert server.calls.get("/a", "ask") == {}
    assert server.connections == 2


def test_eight_calls_at_a_time(engine):
    """The ninth waits for its turn."""
    under_way, most, counting = [0], [0], threading.Lock()

    def say(_request: bytes) -> bytes:
        with counting:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        threading.Event().wait(0.05)
        with counting:
            under_way[0] -= 1
        return answer()

    server = engine(say)
    threads = [threading.Thread(target=server.calls.get, args=("/a", "ask")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 8
    assert server.connections == 8
