"""``dgrid hold``: not for people; a leash runs it when it finds dgrid stopped."""

from __future__ import annotations

import os

import click

from dgrid.cli.settings import find_settings
from dgrid.plan.allocation import Node
from dgrid.plan.folding import unfold


@click.command(hidden=True)
@click.option("--session", required=True, help="The run's session id.")
@click.option("-w", "nodes", required=True, metavar="NODES", help="The run's other nodes, folded.")
@click.option("--link", required=True, help="How to reach them.")
def hold(session: str, nodes: str, link: str) -> None:
    """Tell the leashes of a run on other nodes that it is suspended."""
    from dgrid.nodes.hold import hold as hold_session

    names = unfold(nodes)
    hold_session(session, [Node(name, None) for name in names], find_settings(os.environ, link))
