"""What becomes of the run when a worker ends or its node is lost: its failure policy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from dgrid.errors import DgridError, NodeError, WorkerFailed
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.engine import ContainerState
from dgrid.nodes.hints import hint
from dgrid.nodes.machine import Machine
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.start import ContainerIds, start
from dgrid.plan.definition import FailurePolicy
from dgrid.plan.job_limits import within
from dgrid.plan.plan import Instance, Plan
from dgrid.record import record
from dgrid.units import format_size

_TAIL_LINES = 20


@record
class Failed:
    """A worker has failed for good; ``tail`` is the end of its output, None where that cannot be had."""

    worker: Instance
    state: ContainerState
    tail: str | None


@record
class NotRestarted:
    """A worker that was to be started again cannot be."""

    error: DgridError


class Workers:
    """Decides over ended workers, and tells the user of those that failed.

    What it asks of engines it does in threads, which put Failed and NotRestarted into ``inbox``.
    """

    def __init__(
        self, plan: Plan, ids: ContainerIds, cluster: Cluster, narrator: Narrator,
        before_start: Callable[[Instance], None], inbox: SimpleQueue[Any],
    ) -> None:  # fmt: skip
        self._plan = plan
        self._ids = ids
        self._cluster = cluster
        self._narrator = narrator
        self._before_start = before_start
        self._inbox = inbox
        self._restarts: dict[str, int] = {}

    def ended(self, worker: Instance, state: ContainerState) -> None:
        """A worker has ended: that is all, or it is started again, or has failed (Failed follows)."""
        if not state.exit_code:
            return
        done, allowed = self._restarts.get(worker.name, 0), worker.container.max_restarts
        if worker.container.failure_policy is not FailurePolicy.RESTART or done >= allowed:
            threading.Thread(target=self._read_tail, args=(worker, state), daemon=True).start()
            return
        self._restarts[worker.name] = done + 1
        self._narrator.note(
            f"{worker.node.name}: {worker.name} ended with exit code {state.exit_code}; "
            f"starting it again ({done + 1} of {allowed})"
        )
        threading.Thread(target=self._start_again, args=(worker,), daemon=True).start()

    def failed(self, failed: Failed) -> None:
        """Tell of a failed worker. Raises WorkerFailed when its failure ends the run."""
        worker = failed.worker
        text = how_it_ended(worker, failed.state)
        if failed.tail is not None:
            self._narrator.output(f"last lines of {worker.name} on {worker.node.name}", failed.tail)
            if why := hint(worker.container.image, failed.tail):
                text = f"{text}; {why}"
        if worker.container.failure_policy is FailurePolicy.FAIL_RUN:
            raise WorkerFailed(f'{text}, and its failure_policy is "fail_run"')
        self._narrator.note(f"{text}; the run goes on")

    def lost(self, machine: Machine, error: NodeError) -> None:
        """A machine is lost with its containers.

        Raises ``error`` unless all of them are workers that say "report": a lost node is more than a failure, so
        the run goes on only where the user has thought of it.
        """
        lost = tuple(one for one in self._plan.instances if one.node in machine.nodes)
        names = ", ".join(one.name for one in lost)
        if all(one.container.failure_policy is FailurePolicy.REPORT for one in lost):
            self._narrator.note(f"{error}; lost with it: {names}; the run goes on")
            return
        raise NodeError(
            error.node,
            f"{error.what}; lost with it: {names} (the run goes on without a lost node "
            'where all of its workers have "failure_policy": "report")',
        )

    def _start_again(self, worker: Instance) -> None:
        try:
            self._before_start(worker)
            start(worker, self._ids[worker.name], self._cluster)
        except DgridError as error:
            self._inbox.put(NotRestarted(error))

    def _read_tail(self, worker: Instance, state: ContainerState) -> None:
        try:
            tail = self._cluster.engine(worker.node).tail(state.container_id, _TAIL_LINES)
        except NodeError:
            tail = None
        self._inbox.put(Failed(worker, state, tail))


def how_it_ended(instance: Instance, state: ContainerState) -> str:
    """``node02: w-1 ended with exit code 9``, or that it used up its memory."""
    start_of_text = f"{instance.node.name}: {instance.name}"
    if not state.out_of_memory:
        return f"{start_of_text} ended with exit code {state.exit_code}"
    own = within(instance.request.resources, instance.request.job_limits).memory_bytes
    jobs = instance.request.job_limits.memory_bytes
    used_up = f"its limit of {format_size(own)}" if own else "the memory there was"
    if own is None and jobs is not None:
        used_up = f"what was left of its job's limit of {format_size(jobs)}"
    return f"{start_of_text} was killed because it used up {used_up}"
