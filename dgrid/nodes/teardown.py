"""The end of a run: everything that carries its label is ended and removed, on every node, whatever went before."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping

from dgrid.errors import NodeError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.engine import Engine
from dgrid.nodes.fanout import errors_of, fan_out
from dgrid.nodes.machine import Machine
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.start import ContainerIds
from dgrid.plan.folding import fold
from dgrid.plan.grace import grace
from dgrid.plan.naming import LABEL_SESSION
from dgrid.plan.plan import Plan

_FIRST_POLL_S, _POLL_S = 0.008, 0.05
_ANSWER_WAIT_S = 3.0
_SWEEP_PAUSE_S = 1.0
_SWEEPS_AT_MOST = 30
_NETWORK_WAIT_S = 10.0
_HURRY_S = 10.0
_PATIENCE_S = 45.0
_LATE_ANSWER = "the engine has not answered to a create or a start; the leash looks for what may come of it yet"


def tear_down(
    plan: Plan, ids: ContainerIds, cluster: Cluster, stop: StopSignals, lost: Container[str], say: Callable[[str], None]
) -> tuple[NodeError, ...]:
    """End and remove all of the run, by its label; returns what could not be done, one error a node.

    Containers are asked to end, and killed when the longest grace is over or a second signal comes. An engine that
    does not answer is waited for some time after that, a short one when there was a second signal; a third has ``say``
    tell what is awaited. Machines in ``lost`` are left to their leashes. Idempotent.
    """
    labels = {LABEL_SESSION: plan.session}
    signals = {ids[one.name]: one.container.stop_signal or "SIGTERM" for one in plan.instances if one.name in ids}
    leaves_s = plan.allocation.leaves_s if stop.received and not stop.is_ahead else None
    grace_s = max(grace(one.container.stop_grace_s, cluster.settings.grace_s, leaves_s) for one in plan.instances)
    patience = _Patience(stop, grace_s, say)
    machines = tuple(one for one in cluster.machines if one.name not in lost)
    parallel = max(cluster.settings.parallel, 1)
    problems = errors_of(
        fan_out(
            machines,
            lambda one: _end_containers(one.engine, labels, signals, patience),
            parallel,
            late=patience.for_a_step(),
        )
    )
    if not plan.networks:
        return problems
    # Only now: a network goes when nothing on any node is connected to it.
    makers = {request.node for request in plan.networks}
    failed = {problem.node for problem in problems}
    asked = tuple(one for one in machines if one.name not in failed or _is_among(one, makers))
    return problems + errors_of(
        fan_out(
            asked,
            lambda one: _end_networks(one, labels, _is_among(one, makers)),
            parallel,
            late=patience.for_a_step(),
        )
    )


def _is_among(machine: Machine, names: set[str]) -> bool:
    return any(node.name in names for node in machine.nodes)


class _Patience:
    """How long the containers may take to end: a grace from now, or from the signal that ended the run.

    Over at once with a second signal.
    """

    def __init__(self, stop: StopSignals, grace_s: float, say: Callable[[str], None]) -> None:
        self._stop = stop
        self._say = say
        self._before = len(stop.received)
        self._answered = max(self._before, 2)
        self._deadline = (stop.first_at or time.monotonic()) + grace_s

    def is_over(self) -> bool:
        return self._is_hurried() or time.monotonic() > self._deadline

    def for_a_step(self) -> Callable[[Machine], NodeError | None]:
        """Tells, for a step of the teardown, the error to give a machine up with; None while it may go on."""
        begin = time.monotonic()
        hurried_since: float | None = None
        waiting: dict[str, None] = {}

        def lost(machine: Machine) -> NodeError | None:
            nonlocal hurried_since
            if machine.name in waiting:  # all that are waited for have been asked about once
                self._tell(waiting)
                waiting.clear()
            waiting[machine.name] = None
            now = time.monotonic()
            if self._is_hurried():
                hurried_since = hurried_since or now
                if now - hurried_since > _HURRY_S:
                    return NodeError(machine.name, "its engine did not remove all soon after the second signal")
            if now - max(begin, self._deadline) > _PATIENCE_S:
                return NodeError(machine.name, f"its engine did not remove all within {_PATIENCE_S:g} s")
            return None

        return lost

    def _tell(self, waiting: dict[str, None]) -> None:
        """A third signal, and each one after it: what it is that takes so long."""
        if len(self._stop.received) > self._answered:
            self._answered = len(self._stop.received)
            self._say(f"still waiting for the engine of {fold(waiting)} to remove the run's containers and networks")

    def _is_hurried(self) -> bool:
        signals = len(self._stop.received)
        return signals > self._before or signals > 1


def _end_containers(engine: Engine, labels: Mapping[str, str], signals: Mapping[str, str], patience: _Patience) -> None:
    in_doubt = engine.refuse_creates(_ANSWER_WAIT_S)
    _ask_to_end(engine, labels, signals, patience)
    clean_sweeps = 0
    for _ in range(_SWEEPS_AT_MOST):
        found = engine.containers(labels)
        errors = errors_of(fan_out(found, engine.remove, 8))
        clean_sweeps = 0 if found else clean_sweeps + 1
        if clean_sweeps == (2 if in_doubt else 1):
            if in_doubt and engine.refuse_creates(0.0):
                raise NodeError(engine.node, _LATE_ANSWER)
            return
        if errors or in_doubt:
            # An engine carries out a create whose caller has gone, seconds later: look again until twice nothing.
            time.sleep(_SWEEP_PAUSE_S)
    raise NodeError(engine.node, f"cannot remove all containers ({errors[0].what if errors else 'they keep coming'})")


def _ask_to_end(engine: Engine, labels: Mapping[str, str], signals: Mapping[str, str], patience: _Patience) -> None:
    running = engine.containers(labels, running_only=True)
    fan_out(running, lambda one: engine.kill(one, signals.get(one, "SIGTERM")), 8)
    pause_s = _FIRST_POLL_S  # most of what hears its signal ends at once
    while running and not patience.is_over():
        time.sleep(pause_s)
        pause_s = min(1.2 * pause_s, _POLL_S)
        running = engine.containers(labels, running_only=True)


def _end_networks(machine: Machine, labels: Mapping[str, str], is_maker: bool) -> None:
    """Remove the run's network where it was made; an overlay then goes by itself from the other nodes, a bit later."""
    deadline = time.monotonic() + _NETWORK_WAIT_S
    pause_s = 0.0  # what was removed has mostly gone at the next look
    while names := machine.engine.networks(labels):
        time.sleep(pause_s)
        pause_s = _POLL_S
        try:
            for name in names if is_maker else ():
                machine.engine.remove_network(name)
        except NodeError:
            # Endpoints on other nodes are given back a moment after their containers have gone.
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise NodeError(machine.name, f"the network {names[0]} does not go away")
