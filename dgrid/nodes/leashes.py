"""All leashes of a run: started together, kept alive by a beat every few seconds, told when the run is suspended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any

from dgrid.config import BEATS_TO_A_LEASE
from dgrid.errors import LinkDropped, NodeError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.fanout import fan_out, values_of
from dgrid.nodes.leash import Leash, new_leash
from dgrid.nodes.machine import Machine
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.watch import MachineLost
from dgrid.record import record

_PAUSE_WAIT_S = 1.5  # Slurm stops the processes of a suspended job for good two seconds after it says so
_POLL_S = 0.02
_LEASHES_TO_A_THREAD = 256
_BEAT_COST_S = 0.002
"""Five times the CPU of one, both ends' together."""


@record
class LeashNote:
    """A leash has something to say."""

    machine: Machine
    text: str


class Leashes:
    """Beats for every leash, from threads of its own: none waits for another's node.

    A machine that is silent for the lease, or whose connection ends, is lost: its link is cut, so that whoever waits
    for its engine learns it at once, and MachineLost is put into the queue of ``tell``. LeashNote is what leashes say.
    """

    def __init__(self, beat_s: float, lease_s: float, parallel: int) -> None:
        self._all: list[Leash] = []
        self._beat_s = beat_s
        self._longest_beat_s = lease_s / BEATS_TO_A_LEASE
        self._parallel = parallel
        self._lost: list[MachineLost] = []
        self._listener: SimpleQueue[Any] | None = None
        self._changing = threading.Lock()
        self._due: SimpleQueue[tuple[Leash, float] | None] = SimpleQueue()
        self._under_way: set[Leash] = set()
        self._held = threading.Event()
        self._over = threading.Event()
        self._threads = 0
        threading.Thread(target=self._keep_time, daemon=True).start()

    def add(self, leash: Leash) -> None:
        """One that has been started: from now on it hears beats, while others are still being started."""
        self._all.append(leash)

    def forget(self) -> None:
        """No more beats: the run does not come about, and the leashes end with their connections."""
        self._over.set()

    def remarks(self) -> list[tuple[str, str]]:
        """(machine, what that means) for those that have no leash."""
        without = [leash for leash in self._all if leash.reason]
        return [(one.machine.name, f"should dgrid be killed, containers stay there: {one.reason}") for one in without]

    def tell(self, listener: SimpleQueue[Any]) -> None:
        """From now on ``listener`` gets a MachineLost for each lost machine; those lost before are told now."""
        with self._changing:
            self._listener = listener
            for lost in self._lost:
                listener.put(lost)

    def creating(self) -> None:
        """Creates are about to be sent: should dgrid die before ``created``, containers may come late."""
        for leash in self._living():
            leash.creating()

    def created(self, container_ids: Mapping[str, Sequence[str]]) -> None:
        """All of them have been answered: with these containers, by the machine's name."""
        for leash in self._living():
            leash.created(container_ids.get(leash.machine.name, ()))

    def pause(self) -> list[LeashNote]:
        """The run is being suspended: containers pause on all nodes, and the leases hold. Waits shortly for them.

        Returns what there is to say of that.
        """
        self._held.set()
        waiting = self._living()
        for leash in waiting:
            leash.pause()
        deadline = time.monotonic() + _PAUSE_WAIT_S
        while waiting and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            waiting = [leash for leash in waiting if not leash.is_paused()]
        return [LeashNote(leash.machine, text) for leash in self._living() for text in leash.notes()]

    def resume(self) -> None:
        """The run goes on."""
        for leash in self._living():
            leash.resume()
        self._held.clear()

    def give_up(self, machine: Machine) -> None:
        """The run goes on without ``machine``: its leash is to remove what is there."""
        with self._changing:
            if machine.name not in {lost.machine.name for lost in self._lost}:
                self._lost.append(MachineLost(machine, NodeError(machine.name, "given up")))
        for leash in self._all:
            if leash.machine is machine:
                leash.let_go(clean=False)
        machine.link.cut()

    def lost(self) -> dict[str, str]:
        """Why each machine that is lost or given up is so, by its name."""
        with self._changing:
            return {lost.machine.name: lost.error.what for lost in reversed(self._lost)}

    def let_go(self, problems: Iterable[NodeError]) -> None:
        """The run is over; what could not be removed on the nodes of ``problems`` is up to the leashes there."""
        self._over.set()
        unclean = {problem.node for problem in problems}
        living = self._living()
        clean = [leash for leash in living if leash.machine.name not in unclean]
        for leash in clean:
            leash.say_done()
        # Each waits until its leash has ended.
        fan_out(living, lambda leash: leash.let_go(clean=leash.machine.name not in unclean), self._parallel)

    def _living(self) -> list[Leash]:
        gone = self.lost()
        return [leash for leash in self._all if leash.machine.name not in gone]

    def _interval_s(self) -> float:
        """Each of thousands hears less, as long as its lease allows: beats are not to be all that is done."""
        return min(max(self._beat_s, _BEAT_COST_S * len(self._all)), self._longest_beat_s)

    def _keep_time(self) -> None:
        last = time.monotonic()
        while not self._over.wait(self._interval_s()):
            now = time.monotonic()
            since_s, last = now - last, now
            if self._held.is_set():
                continue
            living = self._living()
            with self._changing:
                due = [leash for leash in living if leash not in self._under_way]
                self._under_way.update(due)
                busy = self._due.qsize() > 0
            for leash in due:
                self._due.put((leash, since_s))
            # One more where all are stuck in a send; and many nodes need several, as each has to wait for its turn.
            wanted = max(self._threads + busy, -(-len(due) // _LEASHES_TO_A_THREAD))
            while self._threads < wanted:
                self._threads += 1
                threading.Thread(target=self._beat_on, daemon=True).start()
        for _ in range(self._threads):
            self._due.put(None)

    def _beat_on(self) -> None:
        while (entry := self._due.get()) is not None:
            leash, since_s = entry
            try:
                leash.beat(since_s, self._interval_s())
            except LinkDropped as error:
                self._is_lost(leash.machine, error)
            self._pass_on(leash)
            with self._changing:
                self._under_way.discard(leash)

    def _pass_on(self, leash: Leash) -> None:
        with self._changing:
            if self._listener is not None:
                for text in leash.notes():
                    self._listener.put(LeashNote(leash.machine, text))

    def _is_lost(self, machine: Machine, error: NodeError) -> None:
        if self._over.is_set():
            return
        with self._changing:
            self._lost.append(MachineLost(machine, error))
            if self._listener is not None:
                self._listener.put(self._lost[-1])
        machine.link.cut()


def put_on_leash(cluster: Cluster, session: str, stop: StopSignals) -> Leashes:
    """A leash on every machine, before anything is created there. Raises ManyNodesError."""

    settings = cluster.settings
    leashes = Leashes(settings.heartbeat_s, settings.lease_s, settings.parallel)

    def start(machine: Machine) -> None:
        leash = new_leash(machine, cluster, session)
        leash.start()
        leashes.add(leash)

    try:
        values_of(fan_out(cluster.machines, start, settings.parallel, stop))
    except BaseException:
        leashes.forget()
        raise
    return leashes
