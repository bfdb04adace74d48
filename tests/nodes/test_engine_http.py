"""Foreign errors become ours, all of them; and the SDK over dialled streams, with an engine that misbehaves."""

import http.client
import importlib
import inspect
import socket
import struct
import time
from types import SimpleNamespace

import pytest
from unix_servers import unix_server

from dgrid.errors import EngineError, EngineNotFound, EngineTimeout, EngineUnreachable, LinkDropped
from dgrid.nodes import docker_api
from dgrid.nodes.engine_http import our_errors
from dgrid.nodes.link_local import LocalLink


class PublicKey:
    """As much of one as an error's text needs."""

    def get_base64(self):
        return "AAAA"


# What the SDK and what it is built on define, and what the sockets below it raise.
MODULES = (
    "docker.errors",
    "docker.utils.socket",
    "requests.exceptions",
    "urllib3.exceptions",
    "http.client",
    "paramiko.ssh_exception",
)
BUILT_IN = (OSError, ConnectionResetError, BrokenPipeError, TimeoutError, EOFError, socket.gaierror, struct.error)
# Not raised by any call of dgrid's: `docker run` of the SDK's upper half, TLS, and proxies.
NOT_RAISED = {"ContainerError", "TLSParameterError", "ProxySchemeUnsupported"}
ARGUMENTS = (
    (),
    ("made",),
    ("made", "made"),
    ("made", []),
    (1, "made"),
    (1, 2),
    (SimpleNamespace(length_remaining=1, tell=lambda: 0), b"x"),
    ("made", "made", 0),
    ({("127.0.0.1", 22): OSError("made")},),
    ("made", None, None),
    ("made", SimpleNamespace(), SimpleNamespace()),
    ("made", PublicKey(), PublicKey()),
)


def foreign():
    for name in MODULES:
        for cls in vars(importlib.import_module(name)).values():
            is_error = inspect.isclass(cls) and issubclass(cls, Exception) and not issubclass(cls, Warning)
            if is_error and cls.__module__ == name and cls.__name__ not in NOT_RAISED:
                yield cls
    yield from BUILT_IN


def made(cls):
    """An instance with a text, whatever its constructor wants."""
    for arguments in ARGUMENTS:
        try:
            error = cls(*arguments)
            str(error)
        except (TypeError, AttributeError, ValueError, IndexError):
            continue
        return error
    raise AssertionError(f"no idea how to make a {cls}")


@pytest.mark.parametrize("cls", list(foreign()), ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_foreign_error_becomes_ours(cls):
    """The table is complete: whatever the libraries raise names the node and what was wanted."""
    with pytest.raises(EngineError) as caught, our_errors("node1", "do a thing"):
        raise made(cls)
    assert caught.value.node == "node1"
    assert "do a thing" in caught.value.what
    assert isinstance(caught.value.__cause__, cls)


@pytest.mark.parametrize("cls", [ZeroDivisionError, KeyError, AttributeError, LinkDropped])
def test_bugs_and_our_own_errors_stay_what_they_are(cls):
    """They are not the engine's."""
    error = LinkDropped("node1", "x") if cls is LinkDropped else cls("x")
    with pytest.raises(cls), our_errors("node1", "do a thing"):
        raise error


@pytest.fixture
def engine_answering(tmp_path):
    """``engine_answering(serve)``: connects to an engine whose connections ``serve`` handles, with a timeout of 1 s."""
    servers = []

    def connect(serve, timeout_s=1.0):
        server = unix_server(tmp_path / f"engine{len(servers)}", serve)
        servers.append(server)
        return docker_api.connect(LocalLink("node1"), str(server.__enter__()), timeout_s, False)

    yield connect
    for server in servers:
        server.__exit__(None, None, None)


def answers(*bodies, status="200 OK"):
    """Serves these answers, one a request, then ends the connection."""

    def serve(connection):
        for body in bodies:
            if not connection.recv(65536):
                return
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

    return serve


VERSION = b'{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","Arch":"amd64","Components":[]}'
INFO = b'{"InitBinary":"docker-init","SecurityOptions":[],"Swarm":{"LocalNodeState":"inactive"}}'


def test_a_proper_engine_is_recognised(engine_answering):
    """By its version and its info."""
    info = engine_answering(answers(VERSION, INFO)).info
    assert (info.kind.value, info.version, info.rootless, info.has_init) == ("docker", "20.10.24", False, True)
    assert (info.swarm_managers, info.is_manager) == (frozenset(), False)


def test_podman_4_3_tells_by_another_key_that_it_is_rootless(engine_answering):
    """As measured on 4.3.1; newer ones have it among the security options, as Docker does."""
    version = VERSION.replace(b"20.10.24", b"4.3.1").replace(b"[]", b'[{"Name":"Podman Engine"}]')
    info = b'{"Rootless":true,"SecurityOptions":["name=seccomp,profile=default"]}'
    found = engine_answering(answers(version, info)).info
    assert (found.kind.value, found.rootless) == ("podman", True)


def test_an_engine_that_is_too_old_is_told(engine_answering):
    """With its version, and what is needed."""
    old = VERSION.replace(b"1.41", b"1.40").replace(b"20.10.24", b"19.03.1")
    with pytest.raises(EngineError, match=r"node1: its engine is version 19\.03\.1; dgrid needs Docker 20\.10 or"):
        engine_answering(answers(old, INFO))


@pytest.mark.parametrize(("newest", "oldest", "agreed"), [("1.41", "1.12", "1.41"), ("1.52", "1.44", "1.47")])
def test_the_newest_version_both_know_is_spoken(engine_answering, newest, oldest, agreed):
    """Docker 29 knows nothing older than 1.44."""
    asked = []

    def serve(connection):
        for body in (VERSION.replace(b"1.41", newest.encode()).replace(b"1.12", oldest.encode()), INFO):
            asked.append(connection.recv(65536).split()[1].decode())
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    engine_answering(serve)
    assert asked == ["/version", f"/v{agreed}/info"]


def test_an_engine_that_says_nothing_is_given_up(engine_answering):
    """After the deadline of the call."""
    began = time.monotonic()
    with pytest.raises(
        EngineTimeout, match="node1: the engine did not answer in time; wanted to ask the engine for its"
    ):
        engine_answering(lambda connection: time.sleep(3))
    assert time.monotonic() - began < 2.5


def test_an_engine_that_stops_in_the_middle_is_given_up(engine_answering):
    """A half answer is none."""

    def serve(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
        time.sleep(3)

    with pytest.raises(EngineTimeout):
        engine_answering(serve)


@pytest.mark.parametrize(
    "serve",
    [lambda connection: None, lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n")],
    ids=["ends", "no http"],
)
def test_what_is_no_engine_is_unreachable(engine_answering, serve):
    """So that another engine of the node is tried."""
    with pytest.raises(EngineUnreachable, match="node1: lost the engine; wanted to ask the engine for its version"):
        engine_answering(serve)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"ApiVersion":"new"}', b'{"ApiVersion":7}'])
def test_an_answer_that_makes_no_sense_is_told(engine_answering, body):
    """Something else listens there."""
    with pytest.raises(EngineError, match="node1: "):
        engine_answering(answers(body, INFO))


def test_the_engines_own_words_are_passed_on(engine_answering):
    """With the status."""
    engine = engine_answering(answers(VERSION, INFO))
    del engine
    for status, cls in (("404 Not Found", EngineNotFound), ("500 Internal Server Error", EngineError)):
        with pytest.raises(cls, match="node1: cannot ask the engine for its version: the disk is full") as caught:
            engine_answering(answers(b'{"message":"the disk is full"}', status=status))
        assert caught.value.status == int(status.split()[0])


def test_a_socket_that_nobody_listens_on_is_told(tmp_path):
    """With its path and the system's reason."""
    with pytest.raises(EngineUnreachable) as caught:
        docker_api.connect(LocalLink("node1"), str(tmp_path / "nothing"), 1, False)
    assert str(caught.value) == (f"node1: cannot reach the engine at {tmp_path}/nothing (No such file or directory)")


def test_http_client_has_no_error_we_forgot():
    """Its root is in the table."""
    with pytest.raises(EngineUnreachable), our_errors("node1", "x"):
        raise http.client.RemoteDisconnected("gone")
