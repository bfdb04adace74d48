"""What the commands that look into a running job have in common: which nodes, which run, which containers."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from dgrid.batch.detect import detect_in
from dgrid.batch.job_nodes import Finished, nodes_of_job
from dgrid.cli.allocation import as_nodes, find_submitter, nodes_of_file, own_nodes
from dgrid.cli.settings import find_settings
from dgrid.cli.surroundings import surroundings
from dgrid.config import LINKS
from dgrid.errors import DgridError, ManyNodesError, NodeError, OutputError, UsageError
from dgrid.plan.allocation import Node
from dgrid.plan.folding import fold, unfold
from dgrid.plan.looking import Listed, narrow, only_run
from dgrid.record import record

if TYPE_CHECKING:
    from dgrid.nodes.look import View
    from dgrid.nodes.look_kept import Kept
    from dgrid.nodes.output import Sink
    from dgrid.nodes.signals import StopSignals

_ASK_S = 20.0


@record
class Where:
    """What the command line says about nodes and runs."""

    nodes: str | None
    hostfile: str | None
    job: str | None
    session: str | None
    link: str | None
    engine: str | None
    engine_socket: str | None


@record
class Places:
    """The nodes to look at; whether to go on to the other nodes of the runs that are found there; and whose job."""

    nodes: tuple[Node, ...]
    widen: bool
    job: str | None


@record
class Sight:
    """What was found on the nodes, narrowed to what the command line asks for. ``ids`` is the caller's uid:gid."""

    view: View
    listed: tuple[Listed, ...]
    looked_at: str
    user: str
    ids: str
    job: str | None
    stop: StopSignals

    def run(self) -> tuple[Listed, ...]:
        """The containers of the only run there is. Raises what ``only_run`` raises, or the errors of the nodes."""
        if not self.listed:
            finish(self.view.errors)
        return only_run(self.listed, self.looked_at)


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where to look, given to the command as ``where``, a Where."""

    @wraps(command)
    def with_where(*arguments: Any, **values: Any) -> Any:
        where = Where(**{field.name: values.pop(field.name) for field in fields(Where)})
        return command(*arguments, where=where, **values)

    for option in reversed(
        (
            click.option("-w", "nodes", metavar="NODES", help="Look at these nodes only: node[1-4,7]."),
            click.option("--hostfile", metavar="FILE", help="Look at the nodes of this node file only."),
            click.option("--job", metavar="ID", help="The runs of this job; its nodes are asked of the batch system."),
            click.option("--session", metavar="ID", help="The run of this session; its first letters are enough."),
            click.option("--link", type=click.Choice(LINKS), help="How to reach the nodes."),
            click.option("--engine", type=click.Choice(["auto", "docker", "podman"]), help="Which of their engines."),
            click.option("--engine-socket", metavar="PATH", help="Their engine's socket, if in an unusual place."),
        )
    ):
        with_where = option(with_where)
    return with_where


@contextmanager
def looking(where: Where, all_users: bool = False) -> Iterator[Sight]:
    """The containers of the caller's runs, as ``where`` says; links are open within the block.

    A signal within it is raised as Stopped.
    """
    from dgrid.nodes.look import look
    from dgrid.nodes.signals import StopSignals

    submitter = find_submitter()
    user = None if all_users else submitter.name
    places = find_places(where, os.environ)
    settings = find_settings(os.environ, where.link, where.engine, where.engine_socket)
    # A node that has nothing to say is to be told soon: whoever looks is waiting.
    settings = replace(settings, call_timeout_s=min(settings.call_timeout_s, 30.0))
    stop = StopSignals()
    with (
        stop.installed(),
        look(places.nodes, as_nodes if places.widen else None, user, submitter.uid, settings, stop) as view,
    ):
        job = where.job or places.job
        looked_at = fold([*(one.name for one in view.machines), *(error.node for error in view.errors)])
        ids = f"{submitter.uid}:{submitter.gid}"
        yield Sight(view, narrow(view.listed, where.session, job), looked_at, submitter.name, ids, job, stop)


def find_places(where: Where, environment: Mapping[str, str]) -> Places:
    """``-w``, else ``--hostfile``, else the job's nodes, ours or those of ``--job``, else this machine.

    Raises UsageError and NodeFileError.
    """
    job = detect_in(surroundings(environment))
    if where.nodes is not None:
        return Places(as_nodes(_unfold(where.nodes)), False, None)
    if where.hostfile is not None:
        return Places(nodes_of_file(where.hostfile), False, None)
    own = own_nodes(environment) if job is not None and where.job in (None, job.job_id) else None
    if own and job is not None:
        return Places(own, True, job.job_id if where.session is None else None)
    if where.job is not None:
        return Places(as_nodes(nodes_of_job(where.job, _ask)), True, None)
    return Places((Node(socket.gethostname(), None, True),), True, None)


def finish(errors: tuple[NodeError, ...]) -> None:
    """Raise what failed on nodes, when all else is done."""
    if errors:
        raise errors[0] if len(errors) == 1 else ManyNodesError(errors)


def show_gathered(write: Sink, is_stderr: bool, outputs: list[tuple[str, Kept]]) -> None:
    """Write what several containers said, equal output once, under the folded names of those who said it."""
    from dgrid.nodes.look_kept import alike

    for names, text in alike((name, kept) for name, kept in outputs if not kept.is_empty):
        write(is_stderr, f"{fold(names)}:\n".encode())
        for piece in text.lines():
            write(is_stderr, piece)


@contextmanager
def as_output() -> Iterator[None]:
    """Within it an OutputError is this command's own, and a reader that has gone ends it as quietly as SIGPIPE."""
    try:
        yield
    except OutputError as error:
        if error.reader_gone:
            raise SystemExit(error.exit_code) from error
        raise DgridError(f"cannot write the output ({error.__cause__ or error})") from error


def _unfold(text: str) -> tuple[str, ...]:
    try:
        names = unfold(text)
    except ValueError as error:
        raise UsageError(f"-w {text}: {error} — write nodes as in node[1-4,7]") from error
    if not names:
        raise UsageError("-w names no node — write nodes as in node[1-4,7]")
    return names


def _ask(command: tuple[str, ...]) -> Finished | None:
    from dgrid.nodes.walltime import finish_command

    return finish_command(command, _ASK_S)
