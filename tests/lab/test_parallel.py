"""The same action for several hosts, and signals meanwhile."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue
from types import FrameType

import pytest

from dgrid.errors import Stopped
from dgrid.lab.parallel import in_parallel


@pytest.fixture
def handlers() -> Iterator[set[str]]:
    """TERM raises Stopped, as in `dgrid lab up`, and adds the names of the functions it did so in; HUP has none."""
    inside: set[str] = set()

    def stop(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            inside.add(frame.f_code.co_name)
            frame = frame.f_back
        raise Stopped(number, signal.Signals(number).name)

    before = signal.signal(signal.SIGTERM, stop), signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield inside
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGHUP, before[1])


def test_results_are_in_order_and_heard_in_it() -> None:
    """The first item is the last to end."""
    heard: list[tuple[int, int]] = []

    def action(item: int) -> int:
        time.sleep((3 - item) * 0.05)
        return item * 10

    assert in_parallel(action, (1, 2, 3), lambda item, result: heard.append((item, result))) == [10, 20, 30]
    assert heard == [(1, 10), (2, 20), (3, 30)]
    assert in_parallel(action, ()) == []


def test_an_error_is_raised_when_those_under_way_have_ended() -> None:
    """Those not begun are left out; what is under way is told."""
    begun, broken_off, ended = threading.Event(), threading.Event(), []

    def action(item: int) -> None:
        if item == 0:
            begun.wait(10)
            raise ValueError("no")
        begun.set()
        ended.append((item, broken_off.wait(10)))

    with pytest.raises(ValueError, match="no"):
        in_parallel(action, tuple(range(9)), workers=2, broken_off=broken_off.set)
    assert (1, True) in ended
    assert len(ended) < 4
    assert all(heard for _, heard in ended)


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_does_not_wake_the_main_thread() -> None:
    """It may arrive in the moment before that waits: noted, with its handler still to run and nobody to wake it."""
    given_up = threading.Event()

    def action(item: int) -> bool:
        time.sleep(0.2)
        if item == 1:
            _thread.interrupt_main(signal.SIGTERM)
        return given_up.wait(10)

    begun_at = time.monotonic()
    with pytest.raises(Stopped, match="ended by SIGTERM"):
        in_parallel(action, (1, 2, 3), broken_off=given_up.set)
    assert time.monotonic() - begun_at < 5


def test_signals_are_handled_where_no_lock_is_held(handlers: set[str]) -> None:
    """Not in the midst of starting a thread or of waiting for one, whenever they arrive."""
    delays = SimpleQueue[float]()

    def send() -> None:
        for _ in range(100):
            time.sleep(delays.get())
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=send, daemon=True).start()
    for number in range(100):
        with pytest.raises(Stopped):  # it may be raised after them
            delays.put(number * 0.0001)
            in_parallel(lambda _item: time.sleep(0.0004), tuple(range(40)), workers=4)
            for _ in range(3000):
                time.sleep(0.01)
    assert not handlers & {"submit", "wait", "result", "done", "shutdown", "join"}, handlers


@pytest.mark.usefixtures("handlers")
def test_handlers_are_as_before_and_the_systems_action_stays() -> None:
    """TERM's own is put aside while others work; HUP, which has none, ends the process as ever."""
    seen = []
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    in_parallel(lambda _item: seen.extend(map(signal.getsignal, (signal.SIGTERM, signal.SIGHUP))), (1,))
    assert seen[0] is not before[1]
    assert seen[1] is before[2] is signal.SIG_DFL
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.usefixtures("handlers")
def test_a_signal_after_an_error_waits_for_what_is_under_way() -> None:
    """What that makes is there when it is raised, and can be removed."""
    begun, made = threading.Event(), []

    def action(item: int) -> None:
        if item == 0:
            begun.wait(10)
            raise ValueError("no")
        begun.set()
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        made.append(item)

    with pytest.raises(Stopped):
        in_parallel(action, (0, 1))
    assert made == [1]


def test_work_that_cannot_be_begun_ends_what_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thread that cannot be started is the third one; what waits for it is left out."""
    given_up, started, begun = threading.Event(), threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        started(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    done = []
    with pytest.raises(RuntimeError, match="can't start"):
        in_parallel(lambda item: done.append((item, given_up.wait(10))), tuple(range(5)), broken_off=given_up.set)
    assert sorted(done) == [(0, True), (1, True)]
