"""``dgrid plan``: shows what a run would do, and touches nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from dgrid.cli.allocation import allocation_options, find_allocation, find_submitter
from dgrid.cli.files import read_definition
from dgrid.errors import UsageError
from dgrid.plan.allocation import Allocation, check_submitter
from dgrid.plan.facts import NodeFacts
from dgrid.plan.plan import make_plan
from dgrid.record import record
from dgrid.report import plan_json, plan_text

SESSION = "SESSION"  # stands for the session id, which only a run has


@record
class Shown:
    """How a plan is shown. ``swarm`` assumes that the nodes share a swarm, which a run would find out."""

    as_json: bool = False
    show_values: bool = False
    swarm: bool = False


def show_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how a plan is shown: ``as_json``, ``show_values``, ``swarm``."""
    for option in (
        click.option("--swarm", is_flag=True, help="Assume that the nodes' engines share a Docker swarm."),
        click.option("--show-values", is_flag=True, help="Show the values of environment variables in --json, too."),
        click.option("--json", "as_json", is_flag=True, help="As data, with the requests that engines would get."),
    ):
        command = option(command)
    return command


@click.command()
@allocation_options
@click.option("--dockdef", metavar="FILE", required=True, help="The docker definition, a JSON file.")
@click.option("--oversubscribe", is_flag=True, help="Let nodes take more containers than they have slots.")
@show_options
def plan(
    hostfile: str | None,
    local: int | None,
    dockdef: str,
    oversubscribe: bool,
    as_json: bool,
    show_values: bool,
    swarm: bool,
) -> None:
    """Show which container would go where, and with which request. Touches nothing.

    No node is asked: networks, engines and addresses are what a run would most likely find. An address that only
    the run learns is shown as {node}, the session id as SESSION.
    """
    show_plan(dockdef, hostfile, local, oversubscribe, Shown(as_json, show_values, swarm), os.environ)


def show_plan(
    dockdef: str,
    hostfile: str | None,
    local: int | None,
    oversubscribe: bool,
    shown: Shown,
    environment: Mapping[str, str],
) -> None:
    """Make the plan that a run with these options would make, and print it. Raises what making it raises."""
    definition = read_definition(dockdef, environment)
    allocation = find_allocation(hostfile, local, environment)
    submitter = find_submitter()
    facts = _swarm_facts(allocation) if shown.swarm else {}
    made = make_plan(definition, allocation, submitter, SESSION, facts, oversubscribe)
    try:
        check_submitter(submitter)
    except UsageError as refusal:
        click.echo(f"dgrid: a run would be refused: {refusal}", err=True)
    if shown.as_json:
        sys.stdout.writelines(plan_json(made, shown.show_values))
        click.echo()
    else:
        click.echo(plan_text(made), nl=False)


def _swarm_facts(allocation: Allocation) -> dict[str, NodeFacts]:
    managers = frozenset({"assumed"})
    return {
        node.name: NodeFacts(swarm_managers=managers, is_manager=node.is_local, address=f"{{{node.name}}}")
        for node in allocation.nodes
    }
