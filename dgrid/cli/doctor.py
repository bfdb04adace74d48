"""``dgrid doctor``: looks at every node of the job, and says what to do about what it finds."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace

import click

from dgrid.batch.detect import detect_in
from dgrid.cli.allocation import (
    allocation_options,
    as_nodes,
    find_allocation,
    find_submitter,
    nodes_of_file,
    own_nodes,
)
from dgrid.cli.files import read_definition
from dgrid.cli.settings import find_settings
from dgrid.cli.surroundings import surroundings
from dgrid.config import LINKS
from dgrid.errors import UsageError
from dgrid.plan.allocation import Allocation, Node, check_submitter
from dgrid.plan.folding import unfold

_PROBLEM = 125
_CALL_S = 15.0  # a node that says nothing is to be told soon


@click.command()
@allocation_options
@click.option("-w", "named", metavar="NODES", help="Look at these nodes: node[1-4,7].")
@click.option("--dockdef", metavar="FILE", help="Also whether this docker definition would run: its images, its ports.")
@click.option("--link", type=click.Choice(LINKS), help="How to reach the other nodes.")
@click.option("--engine", type=click.Choice(["auto", "docker", "podman"]), help="Which of the nodes' engines to use.")
@click.option("--engine-socket", metavar="PATH", help="The engine's socket on the nodes, if in an unusual place.")
@click.option("--json", "as_json", is_flag=True, help="As data.")
@click.option("--quiet", "-q", is_flag=True, help="Leave out what is in order.")
def doctor(
    hostfile: str | None,
    local: int | None,
    named: str | None,
    dockdef: str | None,
    link: str | None,
    engine: str | None,
    engine_socket: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Look whether every node of the job is fit for a run, and say what to do about what is not.

    Starts no container and leaves nothing on the nodes. Each finding is "ok", a "note", or a "problem", which would
    keep a run from working; with one of these the exit code is 125.
    """
    from dgrid.nodes.doctor import examine
    from dgrid.nodes.signals import StopSignals
    from dgrid.plan.checkup import Subject
    from dgrid.plan.doctor import diagnose, has_problem
    from dgrid.plan.doctor_text import findings_data, findings_text

    nodes, source, allocation = _find_nodes(hostfile, local, named, os.environ)
    job = detect_in(surroundings(os.environ))
    settings = find_settings(os.environ, link, engine, engine_socket)
    settings = replace(settings, call_timeout_s=min(settings.call_timeout_s, _CALL_S))
    subject = Subject(
        nodes,
        source,
        find_submitter(),
        None if job is None else job.system,
        None if job is None else job.job_id,
        allocation,
        None if dockdef is None else read_definition(dockdef, os.environ),
        _refusal(),
        settings.job_limits,
    )
    stop = StopSignals()
    with stop.installed():
        findings = diagnose(subject, examine(subject, settings, stop))
    if as_json:
        click.echo(json.dumps(findings_data(subject, findings), indent=2, ensure_ascii=False))
    else:
        click.echo(findings_text(subject, findings, quiet), nl=False)
    return _PROBLEM if has_problem(findings) else 0


def _find_nodes(
    hostfile: str | None, local: int | None, named: str | None, environment: Mapping[str, str]
) -> tuple[tuple[Node, ...], str, Allocation | None]:
    """The nodes, where they come from, and the allocation they are, None if this machine is none of them."""
    if named is not None:
        return _named_nodes(hostfile, local, named)
    try:
        allocation = find_allocation(hostfile, local, environment)
    except UsageError:
        if local is not None:
            raise
        nodes = nodes_of_file(hostfile) if hostfile else own_nodes(environment)
        if not nodes or any(node.is_local for node in nodes):
            raise
        return nodes, f"node file {hostfile}" if hostfile else "the job's nodes", None
    return allocation.nodes, allocation.source, allocation


def _named_nodes(
    hostfile: str | None, local: int | None, named: str
) -> tuple[tuple[Node, ...], str, Allocation | None]:
    if hostfile is not None or local is not None:
        raise UsageError("-w contradicts --hostfile and --local — give one of them")
    try:
        names = unfold(named)
    except ValueError as error:
        raise UsageError(f"-w {named}: these are no node names ({error}) — write them as node[1-4,7]") from error
    if not names:
        raise UsageError("-w names no node — write them as node[1-4,7]")
    nodes, source = as_nodes(names), f"-w {named}"
    allocation = Allocation(nodes, source) if any(node.is_local for node in nodes) else None
    return nodes, source, allocation


def _refusal() -> str | None:
    try:
        check_submitter(find_submitter())
    except UsageError as refusal:
        return str(refusal)
    return None
