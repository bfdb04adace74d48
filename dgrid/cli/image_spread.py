"""``dgrid image spread``: an image to all nodes, from node to node."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from dgrid.cli.allocation import allocation_options, find_allocation, find_nodes, find_submitter
from dgrid.cli.narrator import StderrNarrator
from dgrid.cli.settings import find_settings
from dgrid.config import LINKS
from dgrid.errors import ManyNodesError, NodeError, UsageError
from dgrid.plan.allocation import check_submitter
from dgrid.report import count

if TYPE_CHECKING:
    from dgrid.config import Settings
    from dgrid.nodes.spread import Spread
    from dgrid.plan.allocation import Node


@click.command("spread")
@click.argument("image", metavar="IMAGE")
@allocation_options
@click.option("--link", type=click.Choice(LINKS), help="How to reach the other nodes.")
@click.option("--engine", type=click.Choice(["auto", "docker", "podman"]), help="Which of the nodes' engines to use.")
@click.option("--engine-socket", metavar="PATH", help="The engine's socket on the nodes, if in an unusual place.")
@click.option("--json", "as_json", is_flag=True, help="Say on stdout, as data, what came of it.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but warnings and errors.")
def image_spread(
    image: str,
    hostfile: str | None,
    local: int | None,
    link: str | None,
    engine: str | None,
    engine_socket: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Bring IMAGE to all nodes of the job, from one that has it.

    It is taken from this machine if that has it, else from the first node that does, and travels from node to node,
    only to those that lack it; no registry is needed. A node that fails does not keep the others from getting it; with
    one such the exit code is 125.
    """
    submitter = find_submitter()
    check_submitter(submitter)
    nodes, here_counts = _nodes(hostfile, local)
    settings = find_settings(os.environ, link, engine, engine_socket)
    narrator = StderrNarrator(quiet, sys.stderr.isatty())
    try:
        done, errors = _spread(image, nodes, here_counts, submitter.uid, settings, narrator)
    finally:
        narrator.close()
    if as_json:
        click.echo(json.dumps(_as_data(done, errors), indent=2))
    if errors:
        raise errors[0] if len(errors) == 1 else ManyNodesError(errors)


def _nodes(hostfile: str | None, local: int | None) -> tuple[tuple[Node, ...], bool]:
    """The nodes of the job, and whether this machine, the first, is one of them. Where it is not, it may have the
    image all the same."""
    try:
        return find_allocation(hostfile, local, os.environ).nodes, True
    except UsageError:
        return find_nodes(hostfile, local, os.environ), False


def _spread(
    image: str, nodes: tuple[Node, ...], here_counts: bool, uid: int, settings: Settings, narrator: StderrNarrator
) -> tuple[Spread, tuple[NodeError, ...]]:
    from dgrid.nodes.signals import StopSignals
    from dgrid.nodes.spread import spread
    from dgrid.nodes.spread_machines import open_machines

    stop = StopSignals()
    with stop.installed():
        narrator.phase(f"looking for {image} on {count(len(nodes), 'node')}")
        with open_machines(nodes, uid, settings, stop) as (machines, errors):
            unreached = tuple(error for error in errors if here_counts or error.node != nodes[0].name)
            targets = [one for one in machines if here_counts or not one.nodes[0].is_local]
            if not targets:
                raise unreached[0] if len(unreached) == 1 else ManyNodesError(unreached)
            done = spread(image, targets, machines, settings, stop, narrator)
    narrator.milestone(
        f"{image} ({done.image_id[:12]}): {len(done.had_it)} of {len(targets) + len(unreached)} nodes had it, "
        f"{len(done.got_it)} got it"
    )
    return done, (*unreached, *done.failed)


def _as_data(done: Spread, errors: tuple[NodeError, ...]) -> dict[str, Any]:
    return {
        "image": done.image,
        "id": f"sha256:{done.image_id}",
        "source": done.source,
        "had_it": list(done.had_it),
        "got_it": list(done.got_it),
        "through_this_machine": list(done.through_here),
        "failed": {error.node: error.what for error in errors},
    }
