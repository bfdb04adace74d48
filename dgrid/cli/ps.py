"""``dgrid ps``: the containers of running jobs."""

from __future__ import annotations

import json
import os

import click

from dgrid.cli.looking import Where, finish, looking, where_options
from dgrid.cli.looking_text import ps_json, ps_text
from dgrid.cli.narrator import say
from dgrid.errors import UsageError


@click.command()
@where_options
@click.option("--all-users", is_flag=True, help="Everybody's, for root.")
@click.option("--json", "as_json", is_flag=True, help="As data.")
def ps(where: Where, all_users: bool, as_json: bool) -> None:
    """List the containers of your running jobs, those that have ended too.

    Inside a job that job's; outside the runs that have containers on this machine, with those on their other nodes.
    A node that does not answer hides no other: it is named, and the exit code is 125.
    """
    if all_users and os.getuid() != 0:
        raise UsageError("--all-users is for root; yours are listed without it")
    with looking(where, all_users) as sight:
        if as_json:
            click.echo(json.dumps(ps_json(sight.listed), indent=2))
        elif sight.listed:
            click.echo("\n".join(ps_text(sight.listed, all_users)))
        elif sight.view.machines:
            whose = "nobody has a run" if all_users else "you have no such run"
            say(f"dgrid: {whose} on {sight.looked_at}; -w NODES or --job ID look elsewhere")
        finish(sight.view.errors)
