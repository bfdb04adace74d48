"""When a node counts as clear."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent / "node"))

import observer

TASK = "task 4cc4ec"
SHIM = "process 9@77 uid 0 /usr/bin/containerd-shim-runc-v2 -id 4cc4ec"
SLEEPER = "process 8@77 uid 1000 sleep 3000"


class Node(observer.Observer):
    """A node on which each look, a second after the one before, finds what it is told to; the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks: set[str]) -> None:
        super().__init__()
        self._looks = itertools.chain(looks, itertools.repeat(looks[-1]))
        self._now = 0.0
        clock = SimpleNamespace(monotonic=lambda: self._now, sleep=lambda _s: None)
        monkeypatch.setattr(observer, "time", clock)

    def _extra_and_leash(self) -> tuple[set[str], set[str]]:
        self._now += 1.0
        return next(self._looks), set()


def test_it_is_clear_from_the_first_look_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some more looks have to agree."""
    node = Node(monkeypatch, {TASK, SLEEPER}, {TASK}, {SLEEPER}, {TASK, SHIM}, set())
    looked = node.settle(60)
    assert (looked["clear_at"], looked["bare_at"], looked["left"]) == (5.0, 5.0, [])


def test_what_containerd_keeps_is_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a task that dockerd forgot would make a run look late, which left nothing that its user could remove."""
    looked = Node(monkeypatch, {TASK, SHIM, SLEEPER}, {TASK, SHIM}, {TASK}).settle(60)
    assert (looked["clear_at"], looked["bare_at"], looked["left"]) == (2.0, 2.0, [])


def test_a_process_of_the_run_is_a_trace_however_long_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as left."""
    looked = Node(monkeypatch, {TASK, SHIM}, {TASK, SHIM, SLEEPER}).settle(60)
    assert looked["left"] == sorted({TASK, SHIM, SLEEPER})
    assert looked["clear_at"] > 60
