"""`dgrid reap` with engines that behave badly, and with directories in /tmp: what it removes, leaves, and says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from dgrid.errors import EngineTimeout
from dgrid.nodes.reap import reap
from dgrid.nodes.reap_docker import DockerSocket
from dgrid.nodes.reap_engine import Circumstances, Deadline, Reaped, Removal
from dgrid.nodes.reap_scratch import ScratchWork
from dgrid.plan.reaping import Found, Kind, Wish

JOB = Wish(jobs=frozenset({"12.head"}), by_word=True)
ENDED = Wish(users=frozenset({"alice"}), ended=True)  # not what this machine's own users have in /tmp


def container(name: str, session: str = "aaa", running: bool = False) -> Found:
    return Found(Kind.CONTAINER, f"id-{name}", name, session, "12.head", "alice", "node1", running)


class FakeEngine:
    """An engine in memory. ``later`` are containers that appear ``after_s``; ``stuck`` ones cannot be removed."""

    title = "Fake"

    def __init__(
        self, *there: Found, later: Iterable[Found] = (), after_s: float = 0, stuck: Iterable[str] = ()
    ) -> None:
        self.there = list(there)
        self.pids: dict[str, int] = {}
        self._later, self._appears_at = list(later), time.monotonic() + after_s
        self._stuck = set(stuck)

    def found(self) -> tuple[Found, ...]:
        if self._later and time.monotonic() > self._appears_at:
            self.there += self._later
            self._later = []
        return tuple(self.there)

    def pid(self, one: Found) -> int:
        return self.pids.get(one.name, 0)

    def remove_containers(self, containers: Sequence[Found]) -> Removal:
        gone = [one for one in containers if one.name not in self._stuck and one in self.there]
        self.there = [one for one in self.there if one not in gone]
        return Removal(
            tuple(gone), tuple((one.object_id, "it is busy") for one in containers if one.name in self._stuck)
        )

    def remove_networks(self, networks: Sequence[Found]) -> Removal:
        return self.remove_containers(networks)


class SilentEngine(FakeEngine):
    """Answers nothing, longer than anyone waits."""

    def found(self) -> tuple[Found, ...]:
        time.sleep(60)
        return ()


class ComplainingEngine(FakeEngine):
    """Removes, and says that it failed."""

    def remove_containers(self, containers: Sequence[Found]) -> Removal:
        return Removal((), tuple((one.object_id, "oops") for one in super().remove_containers(containers).removed))


def reaped(
    engines: Sequence[FakeEngine], wish: Wish, within_s: float = 10, dry_run: bool = False
) -> tuple[Reaped, ...]:
    here = Circumstances("node1", Deadline(time.monotonic() + within_s), lambda _user: None, dry_run)
    return reap(engines, wish, here)[: len(engines)]


def removed(one: Reaped) -> list[str]:
    return [found.name for found in one.removed]


def left(one: Reaped) -> list[tuple[str | None, str]]:
    return [(it.found.name if it.found else None, it.why) for it in one.left]


def test_what_is_created_after_its_caller_was_killed_goes_too() -> None:
    """At the first look there is nothing yet, at the second there is."""
    engine = FakeEngine(later=[container("late")], after_s=0.3)
    (result,) = reaped([engine], JOB)
    assert (removed(result), left(result), engine.there) == (["late"], [], [])


def test_what_cannot_be_removed_is_told_with_its_reason_and_hides_nothing_else() -> None:
    """One stuck container keeps no other, on this engine and on others; the time is kept."""
    began = time.monotonic()
    first, second = reaped(
        [FakeEngine(container("a"), container("b"), stuck=["a"]), FakeEngine(container("c"))], JOB, 3
    )
    assert (removed(first), left(first)) == (["b"], [("a", "it is busy")])
    assert (removed(second), left(second)) == (["c"], [])
    assert time.monotonic() - began < 4


def test_the_engines_own_reason_is_told_though_the_time_is_over_meanwhile() -> None:
    """Of what it has not refused, that is the reason."""

    class Late(FakeEngine):
        def remove_containers(self, containers: Sequence[Found]) -> Removal:
            removal = super().remove_containers([one for one in containers if one.name != "b"])
            self.found = self.too_late  # type: ignore[method-assign]
            return removal

        def too_late(self) -> tuple[Found, ...]:
            raise EngineTimeout("node1", "the time is over")

    (one,) = reaped([Late(container("a"), container("b"), stuck=["a"])], JOB, 3)
    assert left(one) == [("a", "it is busy"), ("b", "the time is over")]


def test_an_engine_that_does_not_answer_keeps_no_other_waiting() -> None:
    """It is given up, and told, while the other one is cleaned."""
    began = time.monotonic()
    silent, good = reaped([SilentEngine(), FakeEngine(container("a"))], JOB, 2)
    assert left(silent) == [(None, "Fake is too slow")]
    assert (removed(good), left(good)) == (["a"], [])
    assert time.monotonic() - began < 4


def test_what_others_remove_at_the_same_time_is_no_failure() -> None:
    """Found at the first look, and gone by itself when it was to be removed."""
    engine = FakeEngine()
    seen = iter([(container("a"),)])
    engine.found = lambda: next(seen, ())  # type: ignore[method-assign]  # this engine's list changes between calls
    (result,) = reaped([engine], JOB)
    assert (removed(result), left(result)) == ([], [])


def test_what_goes_although_the_engine_complains_was_removed() -> None:
    """It is told once, and nothing is left."""
    engine = ComplainingEngine(container("a"))
    (result,) = reaped([engine], JOB)
    assert (removed(result), left(result)) == (["a"], [])


def test_a_run_with_a_leash_lives_and_one_without_has_ended() -> None:
    """By a real process of this machine; that of another session is of no use to it."""
    leash = subprocess.Popen(["sh", "-c", "sleep 60; true", "dgrid-leash", "live"], start_new_session=True)
    try:
        engine = FakeEngine(container("a", "live"), container("b", "ended"))
        (shown,) = reaped([engine], ENDED, dry_run=True)
        assert removed(shown) == ["b"]
        assert len(engine.there) == 2, "a dry run touched something"
        (result,) = reaped([engine], ENDED)
        assert (removed(result), left(result)) == (["b"], [])
        assert [one.name for one in engine.there] == ["a"]
        (refused,) = reaped([engine], Wish(sessions=frozenset({"live"})))
        assert left(refused) == [("a", "its run lives; --force ends it")]
    finally:
        os.killpg(leash.pid, 9)
        leash.wait()


def test_where_the_engines_processes_are_not_visible_nothing_counts_as_ended() -> None:
    """In a container with the engine's socket no leash is ever seen: a live run must not look like an ended one."""
    engine = FakeEngine(container("a", "unseen", running=True))
    engine.pids = {"a": os.getpid()}  # a process, but no container's first one
    (result,) = reaped([engine], ENDED)
    assert removed(result) == []
    assert "it cannot be told whether its run lives" in left(result)[0][1]


def test_a_socket_that_accepts_and_never_answers_meets_the_deadline(tmp_path: Path) -> None:
    """As a stopped dockerd does."""
    path = str(tmp_path / "engine")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        engine = DockerSocket("node1", path, Deadline(time.monotonic() + 1))
        began = time.monotonic()
        with pytest.raises(EngineTimeout, match="did not answer in time; wanted to GET /containers/json"):
            engine.found()
        assert time.monotonic() - began < 3


def make_scratch(parent: Path, name: str, *content: str) -> Path:
    path = parent / name
    path.mkdir(mode=0o700)
    for file in content:
        (path / file).touch()
    old = time.time() - 60
    os.utime(path, (old, old))
    return path


def test_scratch_of_ended_runs_goes_and_what_may_be_in_use_stays(tmp_path: Path) -> None:
    """Unused and nothing but dgrid's in it: gone. Named by a process, with an open socket, young, or strange: there."""
    gone = make_scratch(tmp_path, "dgrid-aaaaaaaa", "m", "errors", "1")
    named = make_scratch(tmp_path, "dgrid-bbbbbbbb", "m")
    strange = make_scratch(tmp_path, "dgrid-cccccccc", "results.csv")
    foreign = make_scratch(tmp_path, "other-dddddddd", "m")
    young = tmp_path / "dgrid-eeeeeeee"
    young.mkdir()
    open_socket = make_scratch(tmp_path, "dgrid-ffffffff")
    link = tmp_path / "dgrid-gggggggg"
    link.symlink_to(tmp_path.parent)
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.stdin.readline().strip()); print(); input()"
    )
    with (
        subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as holder,
        subprocess.Popen(["sh", "-c", "read x", "x", f"-oControlPath={named}/m"], stdin=-1, text=True) as user,
    ):
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(f"{open_socket}/engine\n")
        holder.stdin.flush()
        holder.stdout.readline()
        old = time.time() - 60
        os.utime(open_socket, (old, old))
        here = Circumstances("node1", Deadline(time.monotonic() + 10), lambda _user: None)
        work = ScratchWork(Wish(ended=True), here, tmp_path)
        thread = threading.Thread(target=work.work)
        thread.start()
        thread.join()
        holder.stdin.write("\n")
        holder.stdin.close()
        assert user.stdin is not None
        user.stdin.close()
    assert removed(work.result) == [str(gone)]
    assert not gone.exists()
    assert all(path.exists() for path in (named, strange, foreign, young, open_socket, link))
