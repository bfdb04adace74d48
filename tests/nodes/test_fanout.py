"""The same work on many nodes, and signals that end the waiting for it."""

import os
import signal
import threading
import time
from queue import SimpleQueue

import pytest

from dgrid.errors import EngineError, LinkDropped, ManyNodesError, NodeError, Stopped
from dgrid.nodes.fanout import errors_of, fan_out, values_of
from dgrid.nodes.retry import retry
from dgrid.nodes.signals import StopSignals, on_resize


def test_outcomes_are_in_the_order_of_the_items():
    """Whoever is done first."""
    outcomes = fan_out((3, 1, 2), lambda number: time.sleep(number / 50) or number * 10, 3)
    assert [(outcome.item, outcome.value, outcome.error) for outcome in outcomes] == [
        (3, 30, None),
        (1, 10, None),
        (2, 20, None),
    ]


def test_nothing_to_do_is_done_at_once():
    """Without any thread."""
    assert fan_out((), lambda _: 1, 0) == ()
    assert values_of(()) == ()


@pytest.mark.parametrize("parallel", [1, 3, 100])
def test_as_much_at_a_time_as_asked_for(parallel):
    """Never more; and all of it, where there is enough to do."""
    at_once = min(parallel, 12)
    together, lock, running = threading.Barrier(at_once), threading.Lock(), []

    def work(number):
        with lock:
            running.append(number)
            assert len(running) <= at_once
        together.wait(5)  # until as many as allowed have come
        with lock:
            running.remove(number)
        together.wait(5)

    fan_out(range(12), work, parallel)


def test_less_than_one_at_a_time_is_one_at_a_time():
    """It does not wait for ever for nobody."""
    assert values_of(fan_out((1, 2), lambda number: number, 0)) == (1, 2)


def fails(number):
    if number % 2:
        raise EngineError(f"node{number}", "is broken")
    return number


def test_one_nodes_error_hides_no_others_outcome():
    """Each node has its own."""
    outcomes = fan_out(range(4), fails, 2)
    assert [outcome.value for outcome in outcomes] == [0, None, 2, None]
    assert [str(error) for error in errors_of(outcomes)] == ["node1: is broken", "node3: is broken"]
    with pytest.raises(ManyNodesError) as caught:
        values_of(outcomes)
    assert caught.value.errors == errors_of(outcomes)


def test_a_single_error_stays_what_it_is():
    """With its class and its exit code."""
    with pytest.raises(EngineError, match="node1: is broken"):
        values_of(fan_out((0, 1, 2), fails, 2))


def test_a_bug_surfaces_at_once():
    """As itself, whatever else goes on; nothing is begun after it."""
    begun = []

    def work(number):
        begun.append(number)
        if number == 1:
            raise ZeroDivisionError("a bug")
        time.sleep(0.3)

    began = time.monotonic()
    with pytest.raises(ZeroDivisionError, match="a bug"):
        fan_out(range(20), work, 2, StopSignals())
    assert time.monotonic() - began < 0.25
    time.sleep(0.7)
    assert max(begun) <= 2


def test_a_bug_in_a_clean_up_surfaces_when_all_is_done():
    """Where no signal is heeded, every other item is worked on first."""
    done = []

    def work(number):
        if number == 1:
            raise ZeroDivisionError("a bug")
        done.append(number)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        fan_out(range(5), work, 2)
    assert sorted(done) == [0, 2, 3, 4]


@pytest.fixture
def stop():
    """Signals are noted during the test."""
    signals = StopSignals()
    with signals.installed():
        yield signals


def later(seconds, signum):
    threading.Timer(seconds, lambda: os.kill(os.getpid(), signum)).start()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_waiting_at_once(stop, signum):
    """Work under way goes on unheeded; none is begun."""
    begun, over = [], threading.Event()

    def work(number):
        begun.append(number)
        over.wait(60)

    later(0.3, signum)
    with pytest.raises(Stopped) as caught:
        fan_out(range(9), work, 3, stop)
    assert not over.is_set()
    assert (caught.value.exit_code, str(caught.value)) == (128 + signum, f"ended by {signum.name}")
    over.set()
    time.sleep(0.3)
    assert begun == [0, 1, 2]


def test_a_signal_from_before_ends_it_before_it_begins(stop):
    """The step after the one in which it came does not begin."""
    os.kill(os.getpid(), signal.SIGTERM)
    begun = []
    with pytest.raises(Stopped):
        fan_out(range(3), begun.append, 1, stop)
    assert len(begun) <= 1


def test_a_signal_during_the_last_piece_of_work_counts(stop):
    """An error that the signal itself brought about is not told in its place."""

    def work(_):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        raise NodeError("node1", "was interrupted")

    with pytest.raises(Stopped):
        values_of(fan_out((1,), work, 1, stop))


def test_the_first_signal_is_the_one_that_counts(stop):
    """Those after it are remembered, with the time of the first."""
    began = time.monotonic()
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    while len(stop.received) < 2:  # the kernel may give a signal to another thread: the main one sees to it soon
        time.sleep(0.01)
    assert stop.received == [signal.SIGHUP, signal.SIGTERM]
    assert stop.first_at is not None
    assert began <= stop.first_at <= time.monotonic()
    with pytest.raises(Stopped, match="ended by SIGHUP"):
        stop.check()


def test_a_signal_wakes_each_that_waits(stop):
    """Only while it waits."""
    one, other, gone = SimpleQueue(), SimpleQueue(), SimpleQueue()
    with stop.waking(gone):
        pass
    with stop.waking(one), stop.waking(other):
        os.kill(os.getpid(), signal.SIGTERM)
        assert one.get(timeout=1) is None
        assert other.get(timeout=1) is None
    assert gone.empty()


def test_afterwards_signals_do_what_they_did_before():
    """No handler stays behind."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGWINCH)]
    with StopSignals().installed(), on_resize(SimpleQueue(), 1):
        pass
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGWINCH)]
    assert before == after


def test_a_change_of_size_is_told():
    """As an entry of the queue."""
    queue = SimpleQueue()
    with on_resize(queue, "resized"):
        os.kill(os.getpid(), signal.SIGWINCH)
        assert queue.get(timeout=1) == "resized"


class Calls:
    """Fails as often as it is told to, then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.times = []

    def __call__(self):
        self.times.append(time.monotonic())
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def dropped(number):
    return [LinkDropped("node1", f"try {index}") for index in range(number)]


def test_a_transient_error_is_tried_again():
    """Until it goes well."""
    calls = Calls(*dropped(3))
    assert retry(calls, first_wait_s=0.001) == "done"
    assert len(calls.times) == 4


def test_after_the_last_attempt_its_error_is_told():
    """As itself."""
    calls = Calls(*dropped(9))
    with pytest.raises(LinkDropped, match="try 2"):
        retry(calls, attempts=3, first_wait_s=0.001)
    assert len(calls.times) == 3


@pytest.mark.parametrize("error", [NodeError("node1", "for good"), ValueError("a bug"), TimeoutError()])
def test_other_errors_are_not_tried_again(error):
    """They would only come again."""
    calls = Calls(error)
    with pytest.raises(type(error)):
        retry(calls, first_wait_s=0.001)
    assert len(calls.times) == 1


def test_what_lasts_too_long_can_be_given_up():
    """With the error that says so; the others' outcomes are waited for."""
    release = threading.Event()
    try:
        outcomes = fan_out(
            ("stuck", "slow"),
            lambda name: release.wait(60) if name == "stuck" else time.sleep(0.3),
            2,
            late=lambda name: NodeError(name, "given up") if name == "stuck" else None,
        )
    finally:
        release.set()
    assert [(one.item, one.error and one.error.what) for one in outcomes] == [("stuck", "given up"), ("slow", None)]
