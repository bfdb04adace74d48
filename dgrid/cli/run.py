"""``dgrid run``: the job itself."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dgrid.cli.allocation import allocation_options, find_allocation, find_submitter
from dgrid.cli.files import read_definition
from dgrid.cli.interrupts import silent_interrupts
from dgrid.cli.narrator import StderrNarrator
from dgrid.cli.settings import find_settings
from dgrid.cli.spool import open_outlets, spool_option
from dgrid.cli.stop_before import stop_before_option, stopped_before
from dgrid.config import LINKS
from dgrid.errors import DgridError
from dgrid.plan.allocation import check_submitter
from dgrid.plan.definition import Definition, PullPolicy

if TYPE_CHECKING:
    from dgrid.nodes.terminal import Streams
    from dgrid.order import Order


@click.command()
@allocation_options
@click.option("--dockdef", metavar="FILE", required=True, help="The docker definition, a JSON file.")
@click.option("--oversubscribe", is_flag=True, help="Let nodes take more containers than they have slots.")
@click.option(
    "--pull",
    type=click.Choice(["missing", "always", "never", "spread"]),
    help="How images get to the nodes: from their registry to those that lack them, to all, not at all; or from a node "
    'that has them, from node to node. Default: what the definition says ("pull"), else missing.',
)
@click.option(
    "--images",
    type=click.Choice(["keep", "remove"]),
    help="What becomes of images that the run brought to nodes. Default: what the settings say, else keep.",
)
@click.option("--allow-different-images", is_flag=True, help="Go on where nodes have different images of one name.")
@click.option("--log-dir", metavar="DIR", type=click.Path(path_type=Path), help="Keep each container's output here.")
@spool_option
@stop_before_option
@click.option("--link", type=click.Choice(LINKS), help="How to reach the other nodes.")
@click.option("--engine", type=click.Choice(["auto", "docker", "podman"]), help="Which of the nodes' engines to use.")
@click.option("--engine-socket", metavar="PATH", help="The engine's socket on the nodes, if in an unusual place.")
@click.option("--dry-run", is_flag=True, help="Show the plan and touch nothing, as `dgrid plan` does.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but warnings and errors.")
@click.option("--enable-debug", is_flag=True, help="Say everything, and show where an error came from.")
@silent_interrupts()
def run(
    hostfile: str | None,
    local: int | None,
    dockdef: str,
    oversubscribe: bool,
    pull: str | None,
    images: str | None,
    allow_different_images: bool,
    log_dir: Path | None,
    spool: str | None,
    stop_before: float | None,
    link: str | None,
    engine: str | None,
    engine_socket: str | None,
    dry_run: bool,
    quiet: bool,
    enable_debug: bool,
) -> None:
    """Run the containers of a docker definition on the nodes of this job.

    stdin, stdout and stderr are those of the head (interactive) container, and so is the exit code; 128+n when
    signal n ended the run, 2 for wrong usage or a bad definition, 125 when dgrid could not start or keep the job.
    """
    if dry_run:
        from dgrid.cli.plan import Shown, show_plan

        show_plan(dockdef, hostfile, local, oversubscribe, Shown(), os.environ)
        return
    definition = read_definition(dockdef, os.environ)
    allocation = find_allocation(hostfile, local, os.environ)
    submitter = find_submitter()
    check_submitter(submitter)
    if enable_debug:
        _show_debug_log()

    from dgrid.nodes.terminal import Streams
    from dgrid.order import Order

    settings = find_settings(os.environ, link, engine, engine_socket)
    live = sys.stderr.isatty()
    outlets = open_outlets(spool, os.environ, live)
    streams = Streams(outlets=outlets)
    order = Order(
        definition=_with_terminal(definition, streams.are_terminal()),
        allocation=allocation,
        submitter=submitter,
        session=os.urandom(6).hex(),
        settings=replace(settings, images=images or settings.images),
        oversubscribe=oversubscribe,
        pull=PullPolicy(pull) if pull else None,
        allow_different_images=allow_different_images,
        log_dir=log_dir,
    )
    sys.exit(_carry_out(order, streams, StderrNarrator(quiet, live, outlets.say), stop_before))


def _carry_out(order: Order, streams: Streams, narrator: StderrNarrator, stop_before_s: float | None) -> int:
    from dgrid.nodes.delivery import delivered
    from dgrid.nodes.signals import StopSignals
    from dgrid.run import run as run_order

    stop = StopSignals()
    with stop.installed(), delivered(streams, stop):
        try:
            with stopped_before(stop_before_s, os.environ, stop, narrator):
                return run_order(order, streams, stop, narrator)
        except DgridError:
            _log_origin()
            raise
        finally:
            narrator.close()


def _with_terminal(definition: Definition, are_terminal: bool) -> Definition:
    """The definition as this session can have it: a batch job has no terminal to give."""
    containers = tuple(replace(one, tty=one.tty and are_terminal) for one in definition.containers)
    return replace(definition, containers=containers)


def _show_debug_log() -> None:
    """On stderr, together with that of paramiko and urllib3, who log what dgrid reports itself."""
    import logging

    logging.basicConfig(level=logging.DEBUG, format="dgrid: debug: %(name)s: %(message)s", stream=sys.stderr)


def _log_origin() -> None:
    """Where the error that is under way came from, for the debug log."""
    import logging

    logging.getLogger("dgrid").debug("the error came from here", exc_info=True)
