"""Output on its way out: to streams that block, break or are full, and to files."""

import fcntl
import hashlib
import os
import pty
import threading
import time
from pathlib import Path

import pytest
from pipe_ends import Pipe

from dgrid.errors import OutputError, UsageError
from dgrid.nodes.container_stream import AttachStream
from dgrid.nodes.outlet import write_all
from dgrid.nodes.output import LogDirectory, Pump, StdinPump, to_streams
from dgrid.nodes.terminal import Streams, raw_terminal, size

NOT_OPEN = 1_000_000
"""A descriptor that no test has."""


class FakeAttached:
    """An attached container: gives chunks, and takes stdin."""

    def __init__(self, *chunks):
        self._chunks = chunks
        self.received = b""
        self.input_ended = threading.Event()
        self.closed = False

    def chunks(self):
        yield from self._chunks

    def write(self, data):
        self.received += data

    def close_write(self):
        self.input_ended.set()

    def close(self):
        self.closed = True


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.leave()
    made.end()


def non_blocking(descriptor):
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_NONBLOCK)


def read_all(descriptor, into):
    while data := os.read(descriptor, 65536):
        into.update(data)
        time.sleep(0.001)


def test_everything_is_written_to_a_descriptor_that_does_not_block(pipe):
    """Somebody who shares it may have made it so; 3 MB through a slow pipe arrive whole."""
    non_blocking(pipe.write_end)
    data, arrived = os.urandom(3_000_000), hashlib.sha256()
    reader = threading.Thread(target=read_all, args=(pipe.read_end, arrived))
    reader.start()
    write_all(pipe.write_end, data)
    pipe.end()
    reader.join()
    assert arrived.digest() == hashlib.sha256(data).digest()


def test_waiting_for_a_slow_reader_costs_no_cpu(pipe):
    """It sleeps until there is room."""
    non_blocking(pipe.write_end)
    reader = threading.Timer(0.5, pipe.read, (200_000,))
    reader.start()
    began = time.thread_time()
    write_all(pipe.write_end, b"x" * 200_000)
    reader.join()
    assert time.thread_time() - began < 0.2


def test_stdout_and_stderr_go_their_own_ways(pipe, tmp_path):
    """Byte for byte."""
    with (tmp_path / "stderr").open("wb") as stderr:
        sink = to_streams(Streams(0, pipe.write_end, stderr.fileno()))
        sink(False, b"out\0\xff")
        sink(True, b"err")
    assert os.read(pipe.read_end, 100) == b"out\0\xff"
    assert (tmp_path / "stderr").read_bytes() == b"err"


def test_a_reader_that_has_gone_is_an_error_of_stdout(pipe):
    """As SIGPIPE would end any program: 141."""
    pipe.leave()
    with pytest.raises(OutputError) as caught:
        to_streams(Streams(0, pipe.write_end, pipe.write_end))(False, b"x")
    assert (caught.value.reader_gone, caught.value.exit_code) == (True, 141)


def test_a_reader_of_stderr_that_has_gone_is_no_error(pipe):
    """A program goes on without its messages being read."""
    pipe.leave()
    to_streams(Streams(0, 1, pipe.write_end))(True, b"x")


def test_a_full_disk_is_told():
    """125, with the system's reason."""
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OutputError) as caught:
        to_streams(Streams(0, full.fileno(), 2))(False, b"x")
    assert str(caught.value) == "cannot write the head container's output (No space left on device)"
    assert caught.value.exit_code == 125


class TestPump:
    """From an attached container to sinks."""

    def pumped(self, attached, *sinks):
        ended = []
        pump = Pump(attached, sinks, ended.append)
        pump.start()
        pump.join(5)
        assert not pump.is_alive()
        assert len(ended) == 1
        return ended[0]

    def test_all_sinks_get_all_of_it(self, tmp_path):
        """And the end is told."""
        one, other = [], []
        chunks = ((False, b"a"), (True, b"b"))
        assert self.pumped(FakeAttached(*chunks), lambda *x: one.append(x), lambda *x: other.append(x)) is None
        assert one == other == list(chunks)

    def test_what_goes_wrong_is_told(self):
        """To whom waits for the end; the container is let go of, as it would stop when nobody reads."""
        attached = FakeAttached((False, b"a"), (False, b"b"))
        with Path("/dev/full").open("wb", buffering=0) as full:
            failure = self.pumped(attached, lambda _err, data: write_all(full.fileno(), data))
        assert str(failure) == "cannot write to the log directory (No space left on device)"
        assert attached.closed

    def test_a_reader_that_has_gone_is_told(self, pipe):
        """As what it is."""
        pipe.leave()
        failure = self.pumped(FakeAttached((False, b"a")), to_streams(Streams(0, pipe.write_end, 2)))
        assert isinstance(failure, OutputError)
        assert failure.reader_gone


class TestStdinPump:
    """From dgrid's stdin to the head container."""

    def test_all_of_it_and_its_end(self, pipe):
        """The container sees the end."""
        attached = FakeAttached()
        pump = StdinPump(attached, pipe.read_end)
        pump.start()
        os.write(pipe.write_end, b"hello")
        pipe.end()
        assert attached.input_ended.wait(3)
        assert attached.received == b"hello"

    def test_a_pause_on_a_descriptor_that_does_not_block_is_no_end(self, pipe):
        """Somebody who shares it may have made it so."""
        non_blocking(pipe.read_end)
        attached = FakeAttached()
        StdinPump(attached, pipe.read_end).start()
        for part in (b"one ", b"two"):
            time.sleep(0.1)
            assert not attached.input_ended.is_set()
            os.write(pipe.write_end, part)
        pipe.end()
        assert attached.input_ended.wait(3)
        assert attached.received == b"one two"

    def test_no_stdin_at_all_is_an_end(self):
        """As in `dgrid <&-`."""
        attached = FakeAttached()
        StdinPump(attached, NOT_OPEN).start()
        assert attached.input_ended.wait(3)

    @pytest.mark.parametrize("error", [BrokenPipeError, OSError, EOFError])
    def test_a_container_that_reads_no_more_ends_it(self, pipe, error):
        """Without a traceback."""

        class Deaf(FakeAttached):
            def write(self, data):
                raise error

            def close_write(self):
                super().close_write()
                raise error

        attached = Deaf()
        pump = StdinPump(attached, pipe.read_end)
        pump.start()
        os.write(pipe.write_end, b"x")
        pump.join(3)
        assert not pump.is_alive()
        assert attached.input_ended.is_set()


class TestLogDirectory:
    """--log-dir."""

    def test_each_instance_has_its_file(self, tmp_path):
        """Both streams, byte for byte; the directory is made."""
        logs = LogDirectory(tmp_path / "a" / "b")
        one, two = logs.sink("worker-1"), logs.sink("worker-2")
        one(False, b"out\0\n")
        one(True, b"err\xff")
        two(False, b"two")
        assert (tmp_path / "a/b/worker-1.log").read_bytes() == b"out\0\nerr\xff"
        assert (tmp_path / "a/b/worker-2.log").read_bytes() == b"two"

    def test_a_directory_that_cannot_be_made_is_told(self, tmp_path):
        """Before anything is started."""
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match=r"--log-dir .*/file/logs: cannot be made \(Not a directory\)"):
            LogDirectory(tmp_path / "file" / "logs")

    def test_a_file_that_cannot_be_written_is_told(self, tmp_path):
        """With its name."""
        (tmp_path / "worker-1.log").mkdir()
        with pytest.raises(UsageError, match=r"--log-dir: .*/worker-1\.log cannot be written \(Is a directory\)"):
            LogDirectory(tmp_path).sink("worker-1")


class TestTerminal:
    """On a real pseudo-terminal."""

    @pytest.fixture
    def terminal(self):
        master, slave = pty.openpty()
        yield slave
        os.close(master)
        os.close(slave)

    def test_a_terminal_on_both_sides(self, terminal, pipe):
        """stdin and stdout, whatever stderr is."""
        assert Streams(terminal, terminal, pipe.write_end).are_terminal()
        assert not Streams(pipe.read_end, terminal, terminal).are_terminal()
        assert not Streams(terminal, pipe.write_end, terminal).are_terminal()

    def test_a_closed_descriptor_is_no_terminal(self):
        """Nor an error."""
        assert not Streams(NOT_OPEN, NOT_OPEN, 2).are_terminal()

    def test_raw_mode_ends_as_it_began(self, terminal):
        """Also after an error."""
        import termios

        before = termios.tcgetattr(terminal)
        with pytest.raises(KeyError), raw_terminal(terminal):
            assert not termios.tcgetattr(terminal)[3] & (termios.ISIG | termios.ECHO | termios.ICANON)
            raise KeyError
        assert termios.tcgetattr(terminal) == before

    def test_its_size(self, terminal):
        """Rows, then columns."""
        import struct
        import termios

        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 42, 137, 0, 0))
        assert size(terminal) == (42, 137)


def test_the_fake_offers_what_the_pumps_use():
    """Its methods are those of the real one."""
    for name in ("chunks", "write", "close_write", "close"):
        assert callable(getattr(AttachStream, name))
