"""The leash: a process on each machine of a run whose life is the connection it came by.

When its input ends without a word, when nothing is heard for the lease, or when it is sent TERM, it cuts the
connection, so that no late call can arrive, and removes everything that carries the run's label, until nothing is found
twice, a second apart. (A call whose caller has gone is carried out all the same, up to seconds later.)
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dgrid.errors import LinkDropped, NodeError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.leash_script import LeashSettings, leash_script
from dgrid.nodes.link import Link, Resident
from dgrid.nodes.machine import Machine
from dgrid.plan.facts import EngineKind
from dgrid.plan.folding import fold
from dgrid.plan.naming import LEASH_WORD

_START_TIMEOUT_S = 10.0
_MISSED_AT_ONCE = 2
"""How many beats' time one pause between two looks counts at most: dgrid itself may have been suspended."""


class Leash:
    """The leash of one machine, started again when it dies. ``beat`` is for one thread at a time.

    ``reason`` tells why there is none, where the node has no tool for it; empty else.
    """

    def __init__(self, machine: Machine, settings: LeashSettings) -> None:
        self.machine = machine
        self.reason = ""
        self._settings = settings
        self._listening = threading.Lock()
        self._paused = False
        self._creating = False
        self._made: tuple[str, ...] = ()
        self._asked_to_hold = False
        self._holds = False
        self._notes: list[str] = []
        self._resident: Resident | None = None
        self._silent_s = 0.0

    def start(self) -> None:
        """Start it and wait for its first word. Raises NodeError."""
        guard = self.machine.guard
        if guard is not None and not guard.is_lost():
            try:
                self._start_by(guard, replace(self._settings, cuts=True))
                return
            except NodeError:
                guard.cut()  # it is the second way here: the first one will do
        self._start_by(self.machine.link, self._settings)

    def _start_by(self, link: Link, settings: LeashSettings) -> None:
        resident = link.stay(leash_script(settings), outlives_link=True, name=f"{LEASH_WORD} {settings.session}")
        try:
            # Start-up files of the login shell may have something to say before.
            while line := resident.read_line(_START_TIMEOUT_S):
                if line == "leash on":
                    self._resident = resident
                    return
                if line.startswith("leash off"):
                    self.reason = line.removeprefix("leash off").strip()
                    return
        except TimeoutError as error:
            resident.release()
            raise NodeError(
                self.machine.name, f"the clean-up process did not start within {_START_TIMEOUT_S:g} s"
            ) from error
        raise NodeError(self.machine.name, "the clean-up process does not start there")

    def beat(self, since_s: float, beat_s: float) -> None:
        """Tell it that all is well, and see that it is; ``since_s`` is the time since the last call.

        Raises LinkDropped once the machine has been silent for the lease, or its connection has gone.
        """
        if self._resident is None:
            return
        heard, ended = self._listen()
        self._silent_s = 0.0 if heard else self._silent_s + min(since_s, beat_s * _MISSED_AT_ONCE)
        if ended:
            self._start_again()
        elif self._silent_s > self._settings.lease_s:
            raise LinkDropped(
                self.machine.name,
                f"no sign of life for {self._settings.lease_s:g} s; the node, or the network to it, is lost",
            )
        if self._holds and not self._asked_to_hold:
            # It found dgrid stopped, and dgrid goes on again.
            self._holds = False
            self._say("resume")
        self._say("beat")

    def creating(self) -> None:
        """Creates are about to be sent: should dgrid die before ``created``, containers may come late."""
        self._creating = True
        self._say("creating")

    def created(self, container_ids: Iterable[str]) -> None:
        """Every create has been answered; these were made on this machine."""
        self._creating, self._made = False, tuple(container_ids)
        self._say(" ".join(("created", *self._made)))

    def pause(self) -> None:
        """Ask it to pause the run's containers, and not to count the time."""
        self._paused = False
        self._asked_to_hold = True
        self._say("pause")

    def resume(self) -> None:
        """Ask it to let the run's containers go on."""
        self._asked_to_hold = False
        self._say("resume")

    def is_paused(self) -> bool:
        """Whether it has answered to ``pause``; true where there is no leash to answer."""
        self._listen()
        return self._paused or self._resident is None

    def notes(self) -> list[str]:
        """What it had to say beside its answers, as of the last look; each once."""
        with self._listening:
            notes, self._notes = self._notes, []
            return notes

    def say_done(self) -> None:
        """The run is over and all was removed: it ends, which ``let_go`` waits for."""
        self._say("done")

    def let_go(self, clean: bool) -> None:
        """The run is over. ``clean``: all was removed; else the leash tries what the teardown could not."""
        with self._listening:
            resident, self._resident = self._resident, None  # a beat that is under way is not to use it any more
        if resident is None:
            return
        if clean:
            resident.close()
        else:
            resident.release()

    def _say(self, word: str) -> None:
        resident = self._resident  # which another thread may let go of meanwhile
        if resident is not None:
            resident.send(f"{word}\n".encode())

    def _listen(self) -> tuple[bool, bool]:
        """Whether it has said anything since the last look, and whether it has ended."""
        with self._listening:
            if self._resident is None:
                return False, False
            lines, ended = self._resident.received()
            self._paused |= "paused" in lines
            self._holds |= "holding" in lines
            self._notes += [line.removeprefix("log ") for line in lines if line.startswith("log ")]
            return bool(lines), ended

    def _start_again(self) -> None:
        former, self._resident = self._resident, None
        if self.machine.link.is_lost():
            raise LinkDropped(self.machine.name, "the connection to the node has ended")
        try:
            self.start()
        except NodeError as error:
            raise LinkDropped(
                self.machine.name, f"its clean-up process has ended and cannot be started: {error.what}"
            ) from error
        self._silent_s = 0.0
        if self._creating:
            self.creating()
        elif self._made:
            self.created(self._made)
        if former is not None:
            # What is left of it must not take the end of its input for the end of the run.
            former.send(b"leave\n")
            former.release()


def new_leash(machine: Machine, cluster: Cluster, session: str) -> Leash:
    """The leash to start on ``machine``, one of the cluster's."""
    local = any(node.is_local for node in machine.nodes)
    # Of the others only the local one needs to know: for all it would be quadratic.
    remote = [one.name for one in cluster.machines if not one.nodes[0].is_local] if local else []
    settings = LeashSettings(
        session=session,
        engine="podman" if machine.engine.info.kind is EngineKind.PODMAN else "docker",
        socket_path=machine.engine.socket_path,
        lease_s=cluster.settings.lease_s,
        cuts=not local,
        launcher=os.getpid() if local else None,
        hold=_hold_command(session, remote, cluster.settings.link) if remote else (),
        scratch=tuple(one.link.scratch for one in cluster.machines if one.link.scratch) if local else (),
    )
    return Leash(machine, settings)


def _hold_command(session: str, nodes: Sequence[str], link: str) -> tuple[str, ...]:
    """dgrid itself, as it runs now, whatever the working directory and the search path have become."""
    root = str(Path(__file__).resolve().parents[2])
    python = ("env", f"PYTHONPATH={root}", sys.executable, "-m", "dgrid")
    return (*python, "hold", "--session", session, "--link", link, "-w", fold(nodes))
