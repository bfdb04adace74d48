"""Ending a run ahead of its job's end: the waiting, the questions to the batch system, the signal."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from dgrid.nodes.signals import StopSignals
from dgrid.nodes.walltime import EarlyEnd, age_of_job, ask


class ToldNarrator:
    """Keeps what is said."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def terms():
    """When a TERM came; this process outlives it."""
    received = []
    event = threading.Event()

    def note(_number, _frame):
        received.append(time.monotonic())
        event.set()

    before = signal.signal(signal.SIGTERM, note)
    yield received
    signal.signal(signal.SIGTERM, before)


def sleep_until(condition, within_s):
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_the_end_comes_before_the_jobs(terms):
    """TERM to this process that long before, after a word about it; the batch system is asked once more."""
    narrator, stop, looks, began = ToldNarrator(), StopSignals(), [], time.monotonic()

    def look():
        looks.append(1)
        return began + 30.3 - time.monotonic()

    with EarlyEnd(30.3, 30.0, look, stop, narrator).watched():
        sleep_until(lambda: terms, 3)
    assert len(terms) == 1
    assert 0.25 < terms[0] - began < 1.5
    assert narrator.notes == ["the job's time is over in 30 s; ending"]
    assert looks == [1]
    assert stop.is_ahead


def test_a_walltime_that_was_prolonged_counts(terms):
    """Nothing happens at the old time."""
    narrator = ToldNarrator()
    with EarlyEnd(30.1, 30.0, lambda: 600.0, StopSignals(), narrator).watched():
        time.sleep(0.5)
    assert terms == []
    assert narrator.notes == []


def test_silence_of_the_batch_system_does_not_prolong(terms):
    """What it said at the start holds then."""
    with EarlyEnd(1.1, 1.0, lambda: None, StopSignals(), ToldNarrator()).watched():
        sleep_until(lambda: terms, 3)
    assert len(terms) == 1


def test_no_signal_after_the_run(terms):
    """A run that has ended is not ended again."""
    with EarlyEnd(30.2, 30.0, lambda: None, StopSignals(), ToldNarrator()).watched():
        pass
    time.sleep(0.4)
    assert terms == []


def test_a_batch_system_that_hangs_delays_nothing():
    """Nor does one that fails, or is not there."""
    began = time.monotonic()
    assert ask(("sleep", "60")) is None
    assert time.monotonic() - began < 4
    assert ask(("sh", "-c", "echo 5; exit 1")) is None
    assert ask(("dgrid-no-such-command",)) is None
    assert ask(("echo", "1:58")) == "1:58\n"


def test_age_of_the_job():
    """That of the oldest ancestor of the same user, not this process's own."""
    ours = age_of_job()
    assert ours is not None
    script = "from dgrid.nodes.walltime import age_of_job; print(age_of_job())"
    childs = float(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
    assert childs >= ours
    assert childs < ours + 60
