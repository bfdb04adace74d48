"""Streams of the engine's API, cut into pieces wherever a network may cut them."""

import json
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgrid.errors import EngineError, EngineNotFound
from dgrid.nodes.container_stream import AttachStream, ContainerEnd, EventStream, LogStream, hijack
from dgrid.nodes.engine_wire import Body

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


class Pieces:
    """A stream whose far end sends these pieces, one for each recv, then ends (or fails)."""

    def __init__(self, pieces, failure=None):
        self.pieces = [piece for piece in pieces if piece]
        self.failure = failure
        self.sent = b""
        self.timeout_s = 10.0
        self.closed = False

    def recv(self, size):
        if not self.pieces:
            if self.failure is not None:
                raise self.failure
            return b""
        piece = self.pieces.pop(0)
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]

    def sendall(self, data):
        self.sent += data

    def settimeout(self, timeout_s):
        self.timeout_s = timeout_s

    def close(self):
        self.closed = True


def cut_at(data, places):
    """``data`` in pieces that end at these places."""
    ends = sorted({min(place, len(data)) for place in places} | {len(data)})
    return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def frame(stream, data):
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def chunked(parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def joined(chunks):
    """What arrived on stdout, and on stderr."""
    found = {False: b"", True: b""}
    for is_stderr, data in chunks:
        assert data
        found[is_stderr] += data
    return found[False], found[True]


def no_half_close(stream):
    raise AssertionError("not asked for")


def attach(pieces, tty=False):
    return hijack("node1", Pieces(pieces), "/attach", no_half_close, tty)


OUTPUT = frame(1, b"hello ") + frame(2, b"oh no\n") + frame(1, b"") + frame(1, b"\x00\x01\x02world\n" * 3)


@pytest.mark.parametrize("place", range(len(UPGRADED + OUTPUT)))
def test_output_arrives_whole_wherever_it_is_cut(place):
    """At every byte of header, frame and data; stdout and stderr are told apart."""
    chunks = attach(cut_at(UPGRADED + OUTPUT, [place])).chunks()
    assert joined(chunks) == (b"hello " + b"\x00\x01\x02world\n" * 3, b"oh no\n")


@given(
    frames=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8),
    places=st.lists(st.integers(0, 500), max_size=20),
)
def test_any_output_arrives_whole_however_it_is_cut(frames, places):
    """Each stream keeps its own order."""
    data = UPGRADED + b"".join(frame(*one) for one in frames)
    stdout, stderr = joined(attach(cut_at(data, places)).chunks())
    assert stdout == b"".join(part for number, part in frames if number == 1)
    assert stderr == b"".join(part for number, part in frames if number == 2)


@given(data=st.binary(max_size=200), places=st.lists(st.integers(0, 300), max_size=9))
def test_a_terminals_output_has_no_frames(data, places):
    """It comes as it is, all as stdout."""
    assert joined(attach(cut_at(UPGRADED + data, places), tty=True).chunks()) == (data, b"")


def test_output_comes_before_its_frame_is_complete():
    """A reader does not wait for the rest of a long write."""
    chunks = attach([UPGRADED, frame(1, b"x" * 1000)[:18]]).chunks()
    assert next(chunks) == (False, b"x" * 10)


@pytest.mark.parametrize("failure", [ConnectionResetError(), EOFError(), None])
def test_a_cut_stream_ends_quietly(failure):
    """Whether it failed or ended: what it means is to be seen from the container."""
    far = Pieces([OUTPUT[:10]], failure)
    stream = AttachStream(far, Body(far, b""), False, no_half_close)
    assert joined(stream.chunks()) == (b"he", b"")


def test_once_answered_there_is_no_timeout():
    """A container may be silent for days."""
    stream = Pieces([UPGRADED])
    hijack("node1", stream, "/attach", no_half_close, False)
    assert stream.timeout_s is None
    assert stream.sent.startswith(b"POST /attach HTTP/1.1\r\n")


@given(
    parts=st.lists(st.binary(min_size=1, max_size=30), max_size=6),
    places=st.lists(st.integers(0, 400), max_size=12),
    rest=st.booleans(),
)
def test_a_chunked_body_arrives_whole_however_it_is_cut(parts, places, rest):
    """RFC 9112, section 7.1; also when it ends without its last chunk."""
    body = chunked(parts)
    data = CHUNKED + (body if rest else body.removesuffix(b"0\r\n\r\n"))
    log = LogStream("node1", Pieces(cut_at(data, places)), "/logs")
    assert b"".join(log._body.pieces()) == b"".join(parts)


EVENTS = [json.dumps({"Action": "die", "Actor": {"ID": name}}).encode() + b"\n" for name in ("aaa", "bbb", "ccc")]


@pytest.mark.parametrize("place", range(len(CHUNKED + chunked(EVENTS))))
def test_events_are_told_wherever_they_are_cut(place):
    """Each end of a container once."""
    events = EventStream("node1", Pieces(cut_at(CHUNKED + chunked(EVENTS), [place])), "/events")
    assert list(events.ends()) == [ContainerEnd("aaa"), ContainerEnd("bbb"), ContainerEnd("ccc")]


def test_events_without_chunks_are_told_too():
    """As an engine may send them to an old client."""
    events = EventStream("node1", Pieces([OK + b"\r\n" + EVENTS[0] + EVENTS[1]]), "/events")
    assert list(events.ends()) == [ContainerEnd("aaa"), ContainerEnd("bbb")]


@pytest.mark.parametrize("garbage", [b"zz\r\nabc\r\n", b"5\r\nabc d\r\n0\r\n\r\n", b"3\r\n{}\n\r\n0\r\n\r\n"])
def test_garbage_in_events_ends_them(garbage):
    """As if the engine had gone: who listens looks for himself."""
    events = EventStream("node1", Pieces([CHUNKED + chunked(EVENTS[:1]).removesuffix(b"0\r\n\r\n") + garbage]), "/e")
    assert list(events.ends()) == [ContainerEnd("aaa")]


@pytest.mark.parametrize(
    ("text", "found"),
    [("ready to serve", True), ("hello", True), ("to", True), ("nonsense", False), ("serve\nhello", False)],
)
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_text_in_the_log_is_found(text, found, piece):
    """Also where it is spread over writes and packets."""
    data = CHUNKED + chunked([frame(1, b"hello\nready "), frame(1, b"to se"), frame(1, b"rve\n")])
    log = LogStream("node1", Pieces(cut_at(data, range(0, len(data), piece))), "/logs")
    assert log.text_contains(text) is found


class TestRefusals:
    """An engine that does not do what it is asked."""

    MESSAGE = b'{"message":"No such container: abc"}\n'

    def refused(self, status, body, extra=b"", places=()):
        header = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status, len(body), extra)
        stream = Pieces(cut_at(header + body, places))
        with pytest.raises(EngineError) as caught:
            hijack("node1", stream, "/attach", no_half_close, False)
        assert stream.closed
        return caught.value

    @pytest.mark.parametrize("place", range(0, 110, 3))
    def test_the_engines_message_is_told_wherever_it_is_cut(self, place):
        """With its status."""
        error = self.refused(b"409 Conflict", self.MESSAGE, places=[place])
        assert (str(error), error.status) == ("node1: the engine refuses: No such container: abc", 409)

    def test_what_is_not_there_has_its_own_error(self):
        """As with every other call."""
        assert isinstance(self.refused(b"404 Not Found", self.MESSAGE), EngineNotFound)

    @pytest.mark.parametrize("body", [b"plain words", b'"text"', b"[]", b"null", b"{}"])
    def test_a_message_in_another_form_is_told_as_it_is(self, body):
        """Never a traceback."""
        assert str(self.refused(b"500 Internal", body)) == f"node1: the engine refuses: {body.decode()}"

    def test_an_empty_message_is_said_to_be_none(self):
        """The status is there."""
        assert str(self.refused(b"500 Internal", b"")) == "node1: the engine refuses: no message"

    def test_a_chunked_message_is_told(self):
        """Podman may send it so."""
        stream = Pieces([CHUNKED.replace(b"200 OK", b"500 No"), chunked([self.MESSAGE[:9], self.MESSAGE[9:]])])
        with pytest.raises(EngineError, match="the engine refuses: No such container: abc"):
            hijack("node1", stream, "/attach", no_half_close, False)

    @pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent"])
    def test_an_end_instead_of_an_answer_is_told(self, answer):
        """And the stream is closed."""
        stream = Pieces([answer])
        with pytest.raises(EngineError, match="node1: the engine ended the connection instead of answering"):
            EventStream("node1", stream, "/events")
        assert stream.closed

    @pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\r\n\r\n"])
    def test_what_is_no_http_is_told(self, answer):
        """Something else listens there."""
        with pytest.raises(EngineError, match="node1: what listens there does not speak HTTP"):
            EventStream("node1", Pieces([answer]), "/events")


def test_closing_ends_a_reader_in_another_thread():
    """With a real socket."""
    from dgrid.nodes.link_local import UnixStream

    ours, theirs = socket.socketpair(socket.AF_UNIX)
    stream = UnixStream(fileno=ours.detach())
    theirs.sendall(UPGRADED + frame(1, b"x"))
    attached = hijack("node1", stream, "/attach", no_half_close, False)
    got = []
    reader = threading.Thread(target=lambda: got.extend(attached.chunks()))
    reader.start()
    while not got:
        pass
    attached.close()
    reader.join(3)
    assert not reader.is_alive()
    assert got == [(False, b"x")]
    theirs.close()
