"""``dgrid stop``: ends a running job's containers from outside."""

from __future__ import annotations

import click

from dgrid.cli.looking import Sight, Where, finish, looking, where_options
from dgrid.cli.narrator import say
from dgrid.errors import DgridError
from dgrid.plan.folding import fold
from dgrid.plan.looking import Listed, pick

_REMOVAL_S = 20.0


@click.command()
@click.argument("containers", metavar="[CONTAINER]...", nargs=-1)
@where_options
@click.option(
    "--grace", metavar="S", type=click.FloatRange(0), help="Seconds until they are killed; else the setting grace_s."
)
def stop(containers: tuple[str, ...], where: Where, grace: float | None) -> None:
    """Stop a run, or some of its workers.

    Without CONTAINER, or with the head's name, the head container gets its stop signal, and when it has ended, dgrid
    removes all of the run as at any end. A worker that is stopped counts as one that failed: its failure_policy
    decides whether the run goes on.
    """
    with looking(where) as sight:
        run = sight.run()
        picked = pick(run, containers)
        head = next((one for one in picked if one.is_head), None)
        grace_s = sight.view.settings.grace_s if grace is None else grace
        if head is None and containers:
            _stop_these(sight, picked, grace_s)
        else:
            _stop_run(sight, run, head, grace_s)
        finish(sight.view.errors)


def _stop_these(sight: Sight, picked: tuple[Listed, ...], grace_s: float) -> None:
    from dgrid.nodes.look_stop import stop_all

    errors = stop_all(sight.view, picked, grace_s, sight.stop)
    stopped = [one.name for one in picked if one.is_running and one.machine not in {error.node for error in errors}]
    if stopped:
        say(f"dgrid: stopped {fold(stopped)}")
    for one in picked:
        if not one.is_running:
            say(f"dgrid: {one.name} on {one.node} does not run (it is {one.state})")
    finish((*sight.view.errors, *errors))


def _stop_run(sight: Sight, run: tuple[Listed, ...], head: Listed | None, grace_s: float) -> None:
    from dgrid.nodes.look_stop import wait_gone

    if head is None:
        finish(sight.view.errors)
        raise DgridError(
            f"the head container of {run[0].session} is not on {sight.looked_at}; look at all nodes of the run, or "
            "name the workers that are to stop"
        )
    if head.state == "created":
        raise DgridError(f"{head.name} has not been started yet; end its dgrid, or the job, instead")
    _stop_these(sight, (head,), grace_s)
    say(f"dgrid: {head.name} on {head.node} has ended; its dgrid removes the rest")
    left = wait_gone(sight.view, head.session, sight.user, grace_s + _REMOVAL_S, sight.stop)
    if left:
        raise DgridError(
            f"{fold(one.name for one in left)} on {fold(one.node for one in left)} are still there: has the dgrid of "
            f"this run gone? `dgrid reap --session {head.session}` removes them"
        )
