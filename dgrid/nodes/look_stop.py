"""Ending a run, or some of its workers, from outside: as its own end does, by the containers' stop signals."""

from __future__ import annotations

import time

from dgrid.errors import NodeError
from dgrid.nodes.fanout import errors_of, fan_out, raise_all
from dgrid.nodes.look import View, look_again
from dgrid.nodes.look_calls import stop as stop_container
from dgrid.nodes.signals import StopSignals
from dgrid.plan.looking import Listed

_LOOK_S = 0.5


def stop_all(view: View, wanted: tuple[Listed, ...], grace_s: float, stop: StopSignals) -> tuple[NodeError, ...]:
    """Stop these containers, all at once; returns what failed."""
    running = [one for one in wanted if one.is_running]
    outcomes = fan_out(
        running,
        lambda one: stop_container(view.machine(one), one.container_id, grace_s),
        max(1, view.settings.parallel),
        stop,
    )
    return errors_of(outcomes)


def wait_gone(view: View, session: str, user: str, timeout_s: float, stop: StopSignals) -> tuple[Listed, ...]:
    """Wait until dgrid has removed the rest of a run; returns what is there when the time is over.

    Raises NodeError or ManyNodesError when nothing is seen any more, but not all nodes answer.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        stop.check()
        now = look_again(view, user, stop)
        left = tuple(one for one in now.listed if one.session == session)
        if time.monotonic() > deadline or not (left or now.errors):
            if not left:
                raise_all(now.errors)
            return left
        time.sleep(_LOOK_S)
