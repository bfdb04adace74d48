"""What becomes of the run when a worker ends: its failure policy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from dgrid.errors import NodeError, WorkerFailed
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.engine import ContainerState
from dgrid.nodes.hints import hint
from dgrid.nodes.machine import Machine
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.start import ContainerIds, start
from dgrid.plan.definition import FailurePolicy
from dgrid.plan.plan import Instance, Plan
from dgrid.units import format_size

_TAIL_LINES = 20


class Workers:
    """Decides over ended workers, and tells the user of those that failed."""

    def __init__(
        self, plan: Plan, ids: ContainerIds, cluster: Cluster, narrator: Narrator,
        before_start: Callable[[Instance], None],
    ) -> None:  # fmt: skip
        self._plan = plan
        self._ids = ids
        self._cluster = cluster
        self._narrator = narrator
        self._before_start = before_start
        self._restarts: dict[str, int] = {}

    def ended(self, worker: Instance) -> bool:
        """True if it has ended for good; false if it runs, maybe because it was started again.

        Raises WorkerFailed when its failure ends the run, StartError when it cannot be started again.
        """
        state = self._cluster.engine(worker.node).state(self._ids[worker.name])
        if state.running or (state.exit_code and self._start_again(worker, state)):
            return False
        if state.exit_code:
            self._failed(worker, state)
        return True

    def lost(self, machine: Machine, error: NodeError) -> tuple[Instance, ...]:
        """The workers that went with a machine. Raises ``error`` when their policies, or the head, end the run."""
        lost = tuple(one for one in self._plan.instances if one.node in machine.nodes)
        if any(one.container.interactive or one.container.failure_policy is FailurePolicy.FAIL_RUN for one in lost):
            raise error
        self._narrator.note(f"{error}; lost with it: {', '.join(one.name for one in lost)}; the run goes on")
        return lost

    def _start_again(self, worker: Instance, state: ContainerState) -> bool:
        done, allowed = self._restarts.get(worker.name, 0), worker.container.max_restarts
        if worker.container.failure_policy is not FailurePolicy.RESTART or done >= allowed:
            return False
        self._restarts[worker.name] = done + 1
        self._narrator.note(
            f"{worker.node.name}: {worker.name} ended with exit code {state.exit_code}; "
            f"starting it again ({done + 1} of {allowed})"
        )
        self._before_start(worker)
        start(worker, state.container_id, self._cluster)
        return True

    def _failed(self, worker: Instance, state: ContainerState) -> None:
        text = how_it_ended(worker, state)
        with contextlib.suppress(NodeError):
            tail = self._cluster.engine(worker.node).tail(state.container_id, _TAIL_LINES)
            self._narrator.output(f"last lines of {worker.name} on {worker.node.name}", tail)
            if why := hint(worker.container.image, tail):
                text = f"{text}; {why}"
        if worker.container.failure_policy is FailurePolicy.FAIL_RUN:
            raise WorkerFailed(f'{text}, and its failure_policy is "fail_run"')
        self._narrator.note(f"{text}; the run goes on")


def how_it_ended(instance: Instance, state: ContainerState) -> str:
    """``node02: w-1 ended with exit code 9``, or that it used up its memory."""
    start_of_text = f"{instance.node.name}: {instance.name}"
    if not state.out_of_memory:
        return f"{start_of_text} ended with exit code {state.exit_code}"
    limit = instance.container.resources.memory_bytes
    used_up = f"its limit of {format_size(limit)}" if limit else "the memory there was"
    return f"{start_of_text} was killed because it used up {used_up}"
