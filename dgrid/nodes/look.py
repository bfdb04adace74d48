"""Looking for the containers of runs on many nodes; a node that fails hides no other, and nothing is changed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from dgrid.config import Settings
from dgrid.errors import NodeError
from dgrid.nodes.fanout import errors_of, fan_out
from dgrid.nodes.look_calls import list_containers
from dgrid.nodes.machine import Machine
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.spread_machines import open_machines
from dgrid.plan.allocation import Node
from dgrid.plan.looking import Listed, in_order, more_nodes
from dgrid.record import record

AsNodes = Callable[[tuple[str, ...]], tuple[Node, ...]]
"""Tells which of these names are this machine's."""


@record
class View:
    """What was found: containers in plan order, the machines they are on, and the errors of the other nodes."""

    machines: tuple[Machine, ...]
    listed: tuple[Listed, ...]
    errors: tuple[NodeError, ...]
    settings: Settings

    def machine(self, one: Listed) -> Machine:
        """The machine a container is on."""
        return next(machine for machine in self.machines if machine.name == one.machine)


@contextmanager
def look(
    nodes: tuple[Node, ...], as_nodes: AsNodes | None, user: str | None, uid: int, settings: Settings, stop: StopSignals
) -> Iterator[View]:
    """The runs of ``user`` (None: of everybody) on ``nodes``; links are open until the block's end.

    With ``as_nodes`` the other nodes of the runs that are found there are looked at, too.
    """
    with ExitStack() as opened:
        machines, failed = opened.enter_context(open_machines(nodes, uid, settings, stop))
        listed, errors = _list_all(machines, user, settings, stop)
        if as_nodes is not None:
            reached = [node.name for machine in machines for node in machine.nodes] + [error.node for error in failed]
            others = tuple(node for node in as_nodes(more_nodes(listed, reached)) if not node.is_local)
            more, also_failed = opened.enter_context(open_machines(others, uid, settings, stop))
            also_listed, also_errors = _list_all(more, user, settings, stop)
            machines, failed = (*machines, *more), (*failed, *also_failed)
            listed, errors = (*listed, *also_listed), (*errors, *also_errors)
        once = {one.container_id: one for one in listed}
        yield View(machines, in_order(once.values()), (*failed, *errors), settings)


def look_again(view: View, user: str | None, stop: StopSignals) -> View:
    """The same machines as they are now."""
    listed, errors = _list_all(view.machines, user, view.settings, stop)
    return View(view.machines, in_order({one.container_id: one for one in listed}.values()), errors, view.settings)


def _list_all(
    machines: tuple[Machine, ...], user: str | None, settings: Settings, stop: StopSignals
) -> tuple[tuple[Listed, ...], tuple[NodeError, ...]]:
    outcomes = fan_out(machines, lambda one: list_containers(one, user), settings.parallel, stop)
    return tuple(one for outcome in outcomes for one in outcome.value or ()), errors_of(outcomes)
