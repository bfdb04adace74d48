"""``dgrid top``: what the containers of running jobs use."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from dgrid.cli.looking import Sight, Where, finish, looking, where_options
from dgrid.cli.looking_text import runs_text, top_json, top_text
from dgrid.cli.narrator import say
from dgrid.errors import NodeError, Stopped
from dgrid.plan.looking import Listed, narrow

if TYPE_CHECKING:
    from dgrid.nodes.look import View
    from dgrid.plan.usage import Sample, Usage

_FIRST_S = 1.0
_CLEAR = "\x1b[H\x1b[2J"


@click.command()
@where_options
@click.option("--once", is_flag=True, help="Show it once, as it is done without a terminal.")
@click.option("--interval", metavar="S", type=click.FloatRange(0.5), default=2.0, show_default=True, help="Seconds.")
@click.option("--json", "as_json", is_flag=True, help="Once, as data, in bytes.")
def top(where: Where, once: bool, interval: float, as_json: bool) -> None:
    """Show CPU, memory and I/O of each running container of your jobs, on all nodes; ctrl-C ends it.

    CPU is 100 % for one busy core. READ and WRITTEN are of disks, RECEIVED and SENT of the network, all since the
    container's start; "-" stands where its engine does not count, as for a container in the node's own network.
    """
    live = sys.stdout.isatty() and not once and not as_json
    with looking(where) as sight:
        try:
            errors = _watch(sight, where, interval) if live else _once(sight, as_json)
        except Stopped as stopped:
            if not live or stopped.signum != signal.SIGINT:
                raise
            errors = ()
        finish((*sight.view.errors, *errors))


def _once(sight: Sight, as_json: bool) -> tuple[NodeError, ...]:
    from dgrid.nodes.look_stats import sample_all

    before, _ = sample_all(sight.view, sight.stop)
    _pause(sight, _FIRST_S)
    after, errors = sample_all(sight.view, sight.stop)
    used = _used(before, after)
    if as_json:
        click.echo(json.dumps(top_json(sight.listed, used), indent=2))
    elif sight.listed:
        click.echo("\n".join(top_text(sight.listed, used)))
    elif sight.view.machines:
        say(f"dgrid: you have no such run on {sight.looked_at}; -w NODES or --job ID look elsewhere")
    return errors


def _watch(sight: Sight, where: Where, interval_s: float) -> tuple[NodeError, ...]:
    """Until a signal ends it."""
    from dgrid.nodes.look import look_again
    from dgrid.nodes.look_stats import sample_all

    view: View = sight.view
    before, errors = sample_all(view, sight.stop)
    _pause(sight, _FIRST_S)
    while True:
        after, also = sample_all(view, sight.stop)
        listed = narrow(view.listed, where.session, sight.job)
        _draw(listed, _used(before, after), (*sight.view.errors, *errors, *also))
        before = after
        _pause(sight, interval_s)
        view = look_again(view, sight.user, sight.stop)
        errors = view.errors


def _draw(listed: tuple[Listed, ...], used: Mapping[str, Usage], errors: tuple[NodeError, ...]) -> None:
    columns, lines = shutil.get_terminal_size()
    shown = [runs_text(listed), "", *top_text(listed, used), *dict.fromkeys(f"dgrid: {error}" for error in errors)]
    if len(shown) > lines - 1:
        shown = [*shown[: lines - 2], f"... {len(shown) - lines + 2} more lines"]
    click.echo(_CLEAR + "\n".join(line[:columns] for line in shown))


def _used(before: Mapping[str, Sample], after: Mapping[str, Sample]) -> Mapping[str, Usage]:
    from dgrid.plan.usage import usage

    return {key: usage(before.get(key), sample) for key, sample in after.items()}


def _pause(sight: Sight, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        sight.stop.check()
        time.sleep(0.05)
    sight.stop.check()
