"""The beats that leashes hear: from the first moment, and not more than they can be given."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from dgrid.errors import NodeError
from dgrid.nodes import leashes as module
from dgrid.nodes.leashes import Leashes, put_on_leash
from dgrid.nodes.signals import StopSignals


class FakeLeash:
    """Counts its beats; its start waits for ``may_start``, and fails where it is to."""

    reason = None

    def __init__(self, name: str, may_start: threading.Event | None = None, fails: bool = False) -> None:
        self.machine = SimpleNamespace(name=name)
        self.beats = 0
        self._may_start = may_start
        self._fails = fails

    def start(self) -> None:
        if self._may_start is not None:
            assert self._may_start.wait(5)
        if self._fails:
            raise NodeError(self.machine.name, "no")

    def beat(self, _since_s: float, _beat_s: float) -> None:
        self.beats += 1

    def notes(self) -> list[str]:
        return []

    def say_done(self) -> None:
        pass

    def let_go(self, clean: bool) -> None:
        pass


def put(monkeypatch, *fakes: FakeLeash) -> Leashes:
    by_name = {one.machine.name: one for one in fakes}
    monkeypatch.setattr(module, "new_leash", lambda machine, _cluster, _session: by_name[machine.name])
    settings = SimpleNamespace(heartbeat_s=0.02, lease_s=1.0, parallel=2)
    cluster = SimpleNamespace(machines=tuple(one.machine for one in fakes), settings=settings)
    return put_on_leash(cluster, "5e551014", StopSignals())


def until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_first_hears_beats_while_the_last_is_being_started(monkeypatch):
    """Thousands take longer to be started than a lease lasts."""
    may_start = threading.Event()
    first, last = FakeLeash("n1"), FakeLeash("n2", may_start)
    threading.Thread(target=lambda: (until(lambda: first.beats > 2), may_start.set())).start()
    leashes = put(monkeypatch, first, last)
    assert first.beats > 2
    until(lambda: last.beats > 2)
    leashes.let_go(())


def test_no_beats_for_a_run_that_does_not_come_about(monkeypatch):
    """One that cannot be started ends it: the others are to notice."""
    good = FakeLeash("n1")
    with pytest.raises(NodeError):
        put(monkeypatch, good, FakeLeash("n2", fails=True))
    time.sleep(0.1)
    beats = good.beats
    time.sleep(0.2)
    assert good.beats == beats


@pytest.mark.parametrize(("nodes", "interval_s"), [(4, 2.0), (1000, 2.0), (2000, 4.0), (4096, 5.0)])
def test_thousands_hear_less(nodes, interval_s):
    """Every heartbeat_s; of very many not so often that nothing else gets done, but thrice a lease."""
    leashes = Leashes(beat_s=2.0, lease_s=15.0, parallel=32)
    for number in range(nodes):
        leashes.add(FakeLeash(f"n{number}"))
    assert leashes._interval_s() == interval_s
    leashes.forget()
