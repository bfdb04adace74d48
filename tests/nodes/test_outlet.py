"""The last step of output: readers that are slow, stop, or go away; with and without a spool."""

import contextlib
import errno
import hashlib
import os
import re
import resource
import select
import signal
import threading
import time
from pathlib import Path

import pytest
from pipe_ends import Pipe

from dgrid.errors import OutputError, Stopped, UsageError
from dgrid.nodes.delivery import delivered
from dgrid.nodes.outlet import Outlet, Outlets
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.spool import Spool, SpoolFile
from dgrid.nodes.terminal import Streams

MB = 1_000_000
REST = r"(9\d\d,\d\d\d|1,000,000)"
"""A megabyte, without what may be in the pipe."""


@pytest.fixture
def pipes():
    """Two. A number of a descriptor is free for other tests only when no outlet can write to it any more."""
    made = Pipe(), Pipe()
    yield made
    for pipe in made:
        pipe.leave()
    for thread in threading.enumerate():
        if isinstance(thread, Outlet):
            assert thread.wait(10)
    for pipe in made:
        pipe.end()


@pytest.fixture
def pipe(pipes):
    return pipes[0]


@pytest.fixture
def other_pipe(pipes):
    return pipes[1]


@pytest.fixture
def told():
    return []


@pytest.fixture
def outlet_of(pipe, told):
    """Makes a running outlet to the pipe."""

    def make(spool=None, name="stdout", **times):
        made = Outlet(name, pipe.write_end, spool, told.append, **times)
        made.start()
        return made

    return make


def putting(outlet, data, piece=100_000):
    """A thread that puts the data, piece by piece."""

    def put():
        with contextlib.suppress(OutputError):  # the test is over
            for start in range(0, len(data), piece):
                outlet.put(data[start : start + piece])

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    return thread


def test_without_a_spool_the_container_waits_for_the_reader(outlet_of, pipe):
    """Little is kept, however much is to come; all of it arrives once the reader reads."""
    data = os.urandom(8 * MB)
    outlet = outlet_of()
    thread = putting(outlet, data)
    thread.join(0.5)
    assert thread.is_alive()
    assert outlet.pending < 1.3 * MB
    assert pipe.read(len(data)) == data
    assert outlet.wait(3)
    assert outlet.pending == 0


def test_with_a_spool_the_container_never_waits(outlet_of, pipe, tmp_path):
    """What the reader does not take is in a file that has no name, and arrives in order afterwards."""
    data = os.urandom(20 * MB)
    outlet = outlet_of(Spool(tmp_path))
    thread = putting(outlet, data)
    thread.join(10)
    assert not thread.is_alive()
    assert list(tmp_path.iterdir()) == []
    assert 19 * MB < outlet.pending <= 20 * MB
    assert pipe.read(5 * MB) == data[: 5 * MB]
    thread = putting(outlet, data[:MB])  # while it is half read
    assert pipe.read(16 * MB) == data[5 * MB :] + data[:MB]
    assert outlet.wait(3)


def test_a_full_spool_makes_the_container_wait(outlet_of, pipe, tmp_path, told):
    """As without a spool, and the user is told; nothing is lost, in whatever piece the disk became full."""
    data = os.urandom(12 * MB)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    room = Room(tmp_path, files=1)
    try:
        outlet = outlet_of(room)
        thread = putting(outlet, data)
        thread.join(1.5)
        assert thread.is_alive()
        assert 1.1 * MB < outlet.pending < 1.4 * MB
        assert hashlib.sha256(pipe.read(len(data))).digest() == hashlib.sha256(data).digest()
        assert outlet.wait(3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(told) == 1
    assert f"the spool in {tmp_path} takes no more (" in told[0]
    assert "the head container waits until the reader of stdout has taken some" in told[0]


class Room(Spool):
    """A spool on a disk with room for so many files at a time."""

    def __init__(self, directory, files):
        self.left = files
        super().__init__(directory)

    def open(self):
        if self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= 1
        return CountedFile(super().open(), self)


class CountedFile(SpoolFile):
    """Gives its room back."""

    def __init__(self, file, room):
        super().__init__(file._descriptor)
        self._room = room

    def close(self):
        super().close()
        self._room.left += 1


def test_a_spool_that_cannot_be_written_is_wrong_use(tmp_path):
    """Told at once, with the reason."""
    with pytest.raises(UsageError, match=r"--spool: .*/nowhere cannot be written \(No such file or directory\)"):
        Spool(tmp_path / "nowhere")


@pytest.mark.parametrize("spooled", [False, True])
def test_a_reader_that_has_stopped_is_told_once(outlet_of, told, tmp_path, spooled):
    """With what follows from it."""
    outlet = outlet_of(Spool(tmp_path) if spooled else None, stalled_s=0.2)
    for _ in range(2):
        putting(outlet, bytes(3 * MB))
        time.sleep(1.3)
    outlet.lift()
    putting(outlet, bytes(3)).join(3)
    kept = f"what the head container writes is kept in {tmp_path} until then"
    assert told == [
        f"the reader of stdout has taken nothing for 0 s; {kept if spooled else 'the head container waits'}"
    ]


def test_after_the_containers_end_nothing_waits(outlet_of, pipe):
    """There is only little left to come then."""
    outlet = outlet_of()
    thread = putting(outlet, bytes(3 * MB))
    outlet.lift()
    thread.join(3)
    assert not thread.is_alive()
    pipe.read(3 * MB)
    assert outlet.wait(3)


@pytest.mark.parametrize("spooled", [False, True])
def test_a_reader_that_goes_away_is_noticed_at_once(outlet_of, pipe, tmp_path, spooled):
    """Also while nothing more is put; what comes later is refused."""
    outlet = outlet_of(Spool(tmp_path) if spooled else None)
    failed = threading.Event()
    outlet.on_failure = failed.set
    thread = putting(outlet, bytes(MB))
    thread.join(3)
    pipe.leave()
    assert failed.wait(3)
    with pytest.raises(OutputError) as caught:
        outlet.put(b"x")
    assert caught.value.exit_code == 141


def test_a_reader_of_stderr_may_go_away(outlet_of, pipe):
    """A program goes on without it."""
    outlet = outlet_of(name="stderr")
    pipe.leave()
    outlet.put(bytes(3 * MB))
    assert outlet.wait(3)
    assert outlet.failure is None


def test_messages_of_dgrid_wait_for_nobody(outlet_of, pipe):
    """They keep their place among the output."""
    outlet = outlet_of()
    thread = putting(outlet, b"a" * 4 * MB)
    thread.join(0.5)
    outlet.put_message(b"hello")
    received = pipe.read(4 * MB + 5)
    assert received.replace(b"a", b"") == b"hello"
    assert outlet.wait(3)


def test_a_message_that_cannot_be_written_is_no_failure():
    """A full disk under stderr fails a run only when output of its own is lost there."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        outlet = Outlet("stderr", full.fileno(), None, lambda _text: None)
        outlet.start()
        outlet.put_message(b"hello")
        assert outlet.wait(3)
        assert outlet.failure is None
        outlet.put(b"x")
        assert outlet.wait(3)
        assert outlet.failure.exit_code == 125


class TestOutlets:
    """stdout and stderr."""

    def test_one_pipe_has_one_order(self, pipe):
        """As `2>&1` wants it."""
        other_end = os.dup(pipe.write_end)
        outlets = Outlets(pipe.write_end, other_end, None)
        assert outlets.are_one
        expected = b""
        for number in range(200):
            piece = b"%d " % number
            outlets(number % 3 == 0, piece)
            expected += piece
        assert outlets.settle(3)
        assert pipe.read(len(expected)) == expected
        os.close(other_end)

    def test_a_stopped_reader_of_one_does_not_hold_up_the_other(self, pipe, other_pipe, tmp_path):
        """With a spool."""
        outlets = Outlets(pipe.write_end, other_pipe.write_end, Spool(tmp_path))
        outlets(False, bytes(5 * MB))
        outlets(True, b"err")
        assert other_pipe.read(3) == b"err"
        assert not outlets.settle(0)

    def delivering(self, outlets, stop, said, act):
        """``act`` when dgrid has said that it waits."""

        def wait():
            select.select([said.read_end], [], [], 10)
            act()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        with stop.installed(), delivered(Streams(outlets=outlets), stop, 0.3):
            outlets(False, bytes(MB))
        thread.join()

    def test_the_end_waits_for_the_reader(self, pipe, other_pipe):
        """And says so."""
        outlets = Outlets(pipe.write_end, other_pipe.write_end, None)
        self.delivering(outlets, StopSignals(), other_pipe, lambda: pipe.read(MB))
        said = os.read(other_pipe.read_end, 1000).decode()
        assert re.fullmatch(rf"dgrid: waiting until the reader of stdout has taken the last {REST} bytes\n", said)

    @pytest.mark.parametrize("spooled", [False, True])
    def test_a_signal_ends_the_waiting(self, pipe, other_pipe, tmp_path, spooled):
        """The number of bytes that are lost is told."""
        outlets = Outlets(pipe.write_end, other_pipe.write_end, Spool(tmp_path) if spooled else None)
        with pytest.raises(Stopped):
            self.delivering(outlets, StopSignals(), other_pipe, lambda: os.kill(os.getpid(), signal.SIGTERM))
        lost = os.read(other_pipe.read_end, 1000).decode().splitlines()[1]
        assert re.match(rf"dgrid: the last {REST} bytes of stdout were not delivered to their reader", lost)
        assert lost.endswith("reader" if spooled else "nor what the container engine still held")

    def test_an_end_by_a_signal_waits_for_a_short_time_only(self, pipe, other_pipe):
        """And says what is lost, too."""
        outlets, stop = Outlets(pipe.write_end, other_pipe.write_end, None), StopSignals()
        began = time.monotonic()
        with pytest.raises(Stopped), stop.installed(), delivered(Streams(outlets=outlets), stop, 0.3):
            outlets(False, bytes(MB))
            os.kill(os.getpid(), signal.SIGINT)
            stop.check()
        assert time.monotonic() - began < 2
        assert re.search(rf"the last {REST} bytes of stdout were not", os.read(other_pipe.read_end, 1000).decode())

    def test_nobody_who_reads_anything_holds_up_a_signals_end(self, pipe):
        """With stderr in the same pipe there is nobody to tell; dgrid ends all the same."""
        other_end = os.dup(pipe.write_end)
        outlets, stop = Outlets(pipe.write_end, other_end, None), StopSignals()
        with pytest.raises(Stopped), stop.installed(), delivered(Streams(outlets=outlets), stop, 0.3):
            outlets(False, bytes(MB))
            os.kill(os.getpid(), signal.SIGINT)
            stop.check()
        os.write(other_end, b"does not block")
        os.close(other_end)

    def test_a_reader_that_goes_away_at_the_very_end(self, pipe, other_pipe):
        """Is an error of the run."""
        outlets = Outlets(pipe.write_end, other_pipe.write_end, None)
        with pytest.raises(OutputError):
            self.delivering(outlets, StopSignals(), other_pipe, pipe.leave)
