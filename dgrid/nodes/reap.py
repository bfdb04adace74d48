"""Removing what ended runs have left on this machine: from each engine at the same time, within a deadline.

A run lives as long as its leash does, a process on each of its machines that is there before anything is created. A
leash that dies is started anew within about two seconds, so a run has ended when it is missing in two looks three
seconds apart.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from dgrid.errors import NodeError
from dgrid.nodes.fanout import fan_out
from dgrid.nodes.reap_engine import Circumstances, Left, ReapableEngine, Reaped
from dgrid.nodes.reap_processes import await_end, end_leashes, is_first_of_a_container, read_processes
from dgrid.nodes.reap_scratch import ScratchWork
from dgrid.plan.reaping import Found, Kind, Wish, live_sessions, of_named, of_others

_BETWEEN_LOOKS_S = 3.0
_SWEEP_PAUSE_S = 1.0
_LEASH_PATIENCE_S = 3.0
_CALLS_OWN_S = 0.5  # by then every call has met its own deadline
_BLIND = "it cannot be told whether its run lives: the engine's processes are not visible from here"


def reap(engines: Sequence[ReapableEngine], wish: Wish, here: Circumstances) -> tuple[Reaped, ...]:
    """Remove what ``wish`` says from all engines, and directories of ended runs from /tmp.

    Returns in time even if an engine hangs.
    """
    works: list[_Work] = [*(EngineWork(engine, wish, here) for engine in engines), ScratchWork(wish, here)]

    def late(one: _Work) -> NodeError | None:
        over = time.monotonic() > here.deadline.at + _CALLS_OWN_S
        return NodeError(here.host, f"{one.result.engine} is too slow") if over else None

    for outcome in fan_out(works, lambda one: one.work(), len(works), late=late):
        if outcome.error is not None:
            outcome.item.give_up(outcome.error)
    return tuple(one.result for one in works)


class _Work(Protocol):
    result: Reaped

    def work(self) -> None:
        """All of it. Raises NodeError."""

    def give_up(self, error: Exception) -> None:
        """Note what is left, as the work has not come to its end."""


class EngineWork:
    """The work on one engine."""

    def __init__(self, engine: ReapableEngine, wish: Wish, here: Circumstances) -> None:
        self.engine = engine
        self.result = Reaped(engine.title)
        self._wish = wish
        self._here = here
        self._present: tuple[Found, ...] = ()
        self._reasons: dict[str, str] = {}

    def work(self) -> None:
        """All of it. Raises EngineError."""
        found = self.engine.found()
        first_look, looked_at = live_sessions(read_processes()), time.monotonic()
        if self._wish.by_word:
            self._end_named(found)
            candidates = of_others(found, self._wish, self._here.host)
        else:
            named = of_named(found, self._wish)
            self._leave((one for one in named if one.session in first_look), "its run lives; --force ends it")
            candidates = (*named, *of_others(found, self._wish, self._here.host))
        self._end_ended(candidates, first_look, looked_at)

    def give_up(self, error: Exception) -> None:
        """The work did not come to its end: what was to go and was not seen to have gone is left."""
        why = error.what if isinstance(error, NodeError) else str(error)
        gone = {one.object_id for one in self.result.removed}
        rest = [one for one in self._present if one.object_id not in gone]
        self._leave_refused(rest, why)
        if not rest:
            self.result.left.append(Left(self.engine.title, None, why))

    def _end_named(self, found: tuple[Found, ...]) -> None:
        """The batch system says that they have ended: what still lives of them must go, too, leashes first."""
        if not self._wish.jobs and not self._wish.sessions:
            return
        named = of_named(found, self._wish)
        leashes = self._leashes(named)
        if not self._here.dry_run and leashes:
            end_leashes(leashes, signal.SIGTERM)
        self._sweep(named, lambda found: of_named(found, self._wish))
        if self._here.dry_run or not leashes:
            return
        deadline = time.monotonic() + min(_LEASH_PATIENCE_S, self._here.deadline.left_s())
        if await_end(leashes, deadline):
            end_leashes(leashes, signal.SIGKILL)
            for one in await_end(leashes, time.monotonic() + _SWEEP_PAUSE_S):
                why = f"process {one.pid}, which watches over its run, does not end"
                self.result.left.append(Left(self.engine.title, None, why))

    def _leashes(self, named: Iterable[Found]) -> Mapping[str, int]:
        uids = ((one.session, self._here.uid_of(one.user)) for one in named)
        return {session: uid for session, uid in uids if uid is not None}

    def _end_ended(self, candidates: Sequence[Found], first_look: frozenset[str], looked_at: float) -> None:
        candidates = [one for one in candidates if one.session not in first_look]
        if not candidates:
            return
        self._here.deadline.sleep(_BETWEEN_LOOKS_S - (time.monotonic() - looked_at))
        live = first_look | live_sessions(read_processes())
        ended = {one.session for one in candidates if one.session not in live}
        unknown = ended & self._blind_to(candidates)
        self._leave((one for one in candidates if one.session in unknown), _BLIND)
        to_go = ended - unknown
        users = {one.user for one in candidates}

        def ours(found: Iterable[Found]) -> tuple[Found, ...]:
            return tuple(one for one in found if one.session in to_go and one.user in users)

        if to_go:
            self._sweep(ours(candidates), ours)

    def _blind_to(self, candidates: Sequence[Found]) -> set[str]:
        """The sessions with a container that runs, says the engine, but whose process is not to be seen from here."""
        running = {one.session: one for one in candidates if one.running}
        pids = ((session, self.engine.pid(one)) for session, one in running.items())
        # A container that ends meanwhile has no process any more.
        seen = ((session, pid) for session, pid in pids if pid and not is_first_of_a_container(pid))
        return {session for session, _ in seen if self.engine.pid(running[session])}

    def _sweep(self, first: Sequence[Found], ours: Callable[[Iterable[Found]], tuple[Found, ...]]) -> None:
        """Until nothing is found twice, a second apart: an engine carries out a create whose caller has gone."""
        if self._here.dry_run:
            self.result.removed.extend(first)
            return
        self._present, clean_looks = tuple(first), 0
        while clean_looks < 2 and self._here.deadline.left_s() > 0:
            clean_looks = 0 if self._present else clean_looks + 1
            if clean_looks == 2:
                break
            if not self._remove(self._present):
                self._here.deadline.sleep(_SWEEP_PAUSE_S)
            before, self._present = self._present, ours(self.engine.found())
            self._note_gone(before)
        self._leave_refused(self._present, "it does not go away")
        self._present = ()

    def _remove(self, present: Sequence[Found]) -> bool:
        """Remove them all; networks last, as they must be empty. Whether any was removed."""
        before = len(self.result.removed)
        for kind, remove in (
            (Kind.CONTAINER, self.engine.remove_containers),
            (Kind.NETWORK, self.engine.remove_networks),
        ):
            if objects := [one for one in present if one.kind is kind]:
                removal = remove(objects)
                self.result.removed.extend(removal.removed)
                self._reasons.update(removal.failed)
        return len(self.result.removed) > before

    def _note_gone(self, before: Sequence[Found]) -> None:
        """What has gone though the engine complained: Podman does, over the network of a container it has removed."""
        present = {one.object_id for one in self._present}
        for one in before:
            if one.object_id not in present and self._reasons.pop(one.object_id, None) is not None:
                self.result.removed.append(one)

    def _leave_refused(self, found: Iterable[Found], otherwise: str) -> None:
        """Each with the engine's own reason, where it gave one."""
        for one in found:
            self._leave((one,), self._reasons.get(one.object_id, otherwise))

    def _leave(self, found: Iterable[Found], why: str) -> None:
        self.result.left.extend(Left(self.engine.title, one, why) for one in found)
