"""The supervisor by itself, with fake leashes and a fake head."""

import signal
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from dgrid.errors import Stopped
from dgrid.nodes.head_session import SignalObeyed
from dgrid.nodes.signals import Continued, StopSignals
from dgrid.nodes.supervise import Supervisor


class FakeLeashes:
    def __init__(self):
        self.resumed = 0

    def resume(self):
        self.resumed += 1


class FakeSession:
    head = SimpleNamespace(container=SimpleNamespace(stop_grace_s=0.5))
    output_ended = True

    @contextmanager
    def signalled(self, _name):
        yield


def test_a_suspended_run_that_is_told_to_end_goes_on_first():
    """TERM and CONT come together, as from `kill %1` and qdel: the containers go on, so that the head can obey."""
    plan = SimpleNamespace(session="s", instances=(), allocation=SimpleNamespace(leaves_s=None))
    cluster = SimpleNamespace(machines=(), settings=SimpleNamespace(grace_s=0.5, parallel=1))
    streams, stop, leashes = SimpleNamespace(outlets=None), StopSignals(), FakeLeashes()
    supervisor = Supervisor(plan, {}, cluster, streams, stop, None, None, leashes)
    stop.received.append(signal.SIGTERM)
    for entry in (None, Continued(), SignalObeyed()):
        supervisor._inbox.put(entry)
    with pytest.raises(Stopped):
        supervisor._stop_head(FakeSession())
    assert leashes.resumed == 1
