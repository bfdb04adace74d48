"""Output kept to be compared, and output that waits for a slow reader."""

import _thread
import signal
import threading
import time
from queue import SimpleQueue

import pytest

from dgrid.errors import DgridError, Stopped
from dgrid.nodes import look_session
from dgrid.nodes.look_calls import Refusal
from dgrid.nodes.look_kept import Kept, alike
from dgrid.nodes.look_session import Backlog
from dgrid.nodes.signals import StopSignals


def kept(*pieces):
    made = Kept()
    for piece in pieces:
        made.add(piece)
    return made


def test_equal_bytes_are_found_however_they_came():
    """In the order of the first; large ones, too, which are in a file."""
    large = b"x" * 3_000_000
    found = alike(
        [("a", kept(b"on", b"e\n")), ("b", kept(large)), ("c", kept(b"one\n")), ("d", kept(large[:-1], b"x"))]
    )
    assert [names for names, _ in found] == [("a", "c"), ("b", "d")]
    assert b"".join(found[1][1].lines()) == large + b"\n"


def test_kept_bytes_end_with_a_line_end():
    """So that the next header begins a line; nothing stays nothing."""
    assert b"".join(kept(b"a").lines()) == b"a\n"
    assert b"".join(kept(b"a\n").lines()) == b"a\n"
    assert (b"".join(kept().lines()), kept().is_empty, kept(b"a").is_empty) == (b"", True, False)


class Reader:
    """A sink whose reader waits until it is let go."""

    def __init__(self):
        self.may_read = threading.Event()
        self.read = b""

    def __call__(self, _is_stderr, data):
        self.may_read.wait(10)
        self.read += data


def test_a_slow_reader_keeps_nobody_waiting_and_loses_only_the_excess():
    """Up to the limit all is there, in order; how much is not, is told."""
    reader = Reader()
    backlog = Backlog(reader, lambda error: None)
    backlog.start()
    began = time.monotonic()
    piece = b"x" * (look_session._BACKLOG_BYTES // 4)
    for _ in range(6):
        backlog.put(False, piece)
    assert time.monotonic() - began < 5
    reader.may_read.set()
    left_out = backlog.finish(StopSignals())
    assert len(reader.read) + left_out == 6 * len(piece)
    assert left_out in (len(piece), 2 * len(piece))  # one may already be on its way


def test_a_reader_that_never_reads_on_is_left_by_a_signal():
    """Ctrl-C ends the waiting."""
    backlog = Backlog(Reader(), lambda error: None)
    backlog.start()
    backlog.put(False, b"x")
    stop = StopSignals()
    stop._note(2, None)
    with pytest.raises(Stopped):
        backlog.finish(stop)


def test_a_failing_reader_is_told_once():
    """As when the reader has gone."""
    told = []

    def fail(_is_stderr, _data):
        raise DgridError("gone")

    backlog = Backlog(fail, told.append)
    backlog.start()
    backlog.put(False, b"x")
    backlog.finish(StopSignals())
    assert [str(error) for error in told] == ["gone"]


def test_an_engine_that_cannot_run_a_command_is_told_from_the_command():
    """Its message is no output, and 127 is for a command that is not there, whatever the engine's version."""
    refusal = Refusal()
    assert refusal.notices(b'OCI runtime exec failed: exec: "x": executable file not found in $PATH')
    assert [refusal.exit_code(code) for code in (126, 127)] == [127, 127]
    forbidden = Refusal()
    assert forbidden.notices(b'OCI runtime exec failed: exec: "/etc": permission denied')
    assert forbidden.exit_code(126) == 126
    output = Refusal()
    assert not output.notices(b"hello")
    assert not output.notices(b"OCI runtime exec failed: not found")
    assert output.exit_code(126) == 126


def test_a_signal_that_does_not_wake_the_main_thread_ends_the_waiting():
    """It may arrive in the moment before that waits: noted, with its handler still to run and nobody to wake it."""
    inbox, stop, given_up = SimpleQueue(), StopSignals(), threading.Event()

    def interrupt():
        time.sleep(0.2)
        _thread.interrupt_main(signal.SIGTERM)
        if not given_up.wait(10):
            inbox.put(look_session.OutputEnded(None))

    with stop.installed(), pytest.raises(Stopped):
        threading.Thread(target=interrupt, daemon=True).start()
        look_session._until_output_ends(inbox, stop, lambda: None)
    given_up.set()
