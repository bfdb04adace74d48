"""The same command in several containers at once, and what each of them printed."""

from __future__ import annotations

import contextlib
import threading
import time

from dgrid.errors import NodeError
from dgrid.nodes.fanout import errors_of, fan_out
from dgrid.nodes.look import View
from dgrid.nodes.look_calls import Execution, Refusal
from dgrid.nodes.look_kept import Kept
from dgrid.nodes.look_session import exit_code_of
from dgrid.nodes.signals import StopSignals
from dgrid.plan.looking import Listed
from dgrid.record import record

_POLL_S = 0.05
_END_S = 3.0


@record
class Ran:
    """A command that has ended in one container."""

    name: str
    exit_code: int
    out: Kept
    err: Kept


def run_in_all(
    view: View, wanted: tuple[Listed, ...], argv: tuple[str, ...], user: str, stop: StopSignals
) -> tuple[tuple[Ran, ...], tuple[NodeError, ...]]:
    """Run a command without input in each of ``wanted``; what came of it, and what failed.

    A signal is passed on to all of them. What has not ended three seconds later is given up, with an error.
    """

    def late(one: Listed) -> NodeError | None:
        if stop.first_at is None or time.monotonic() < stop.first_at + _END_S:
            return None
        return NodeError(one.node, f"the command in {one.name} runs on there, in spite of {stop.received[0].name}")

    # Without stop: the commands are to be reached by the signal before this process ends of it.
    outcomes = fan_out(wanted, lambda one: _run(view, one, argv, user, stop), view.settings.parallel, late=late)
    return tuple(outcome.value for outcome in outcomes if outcome.value is not None), errors_of(outcomes)


def _run(view: View, one: Listed, argv: tuple[str, ...], user: str, stop: StopSignals) -> Ran:
    machine = view.machine(one)
    execution = Execution(machine, one.container_id, argv, user, tty=False, stdin=False)
    out, err, refusal, over = Kept(), Kept(), Refusal(), threading.Event()
    threading.Thread(target=_pass_on, args=(execution, stop, over), daemon=True).start()
    try:
        for is_stderr, data in execution.attached.chunks():
            (err if is_stderr or refusal.notices(data) else out).add(data)
        return Ran(one.name, refusal.exit_code(exit_code_of(execution, machine)), out, err)
    finally:
        over.set()
        execution.attached.close()


def _pass_on(execution: Execution, stop: StopSignals, over: threading.Event) -> None:
    while not over.wait(_POLL_S):
        if stop.received:
            with contextlib.suppress(NodeError):
                execution.signal(stop.received[0].name)
            return
