"""``dgrid reap``: removes what belongs to ended runs on this machine."""

from __future__ import annotations

import json
import os
import pwd
import socket
import time
from typing import TYPE_CHECKING, Any

import click

from dgrid.cli.narrator import say, visible
from dgrid.cli.settings import find_settings
from dgrid.errors import DgridError, UsageError
from dgrid.plan.reaping import Found, Kind, Wish

if TYPE_CHECKING:
    from dgrid.nodes.reap_engine import Left, Reaped


@click.command()
@click.option("--job", "jobs", metavar="ID", multiple=True, help="This job's runs. May be given several times.")
@click.option("--session", "sessions", metavar="ID", multiple=True, help="This run. May be given several times.")
@click.option("--user", "users", metavar="NAME", multiple=True, help="Only this user's runs (for root; else yours).")
@click.option("--ended", is_flag=True, help="With --job or --session: and all other runs that have ended.")
@click.option("--force", is_flag=True, help="With --job or --session: even if the run still lives. Root needs it not.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and touch nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as data.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but what is left.")
@click.option(
    "--within", metavar="SECONDS", type=click.FloatRange(5, 3600), default=22.0, show_default=True,
    help="When to give up.",
)  # fmt: skip
@click.pass_context
def reap(
    context: click.Context,
    jobs: tuple[str, ...],
    sessions: tuple[str, ...],
    users: tuple[str, ...],
    ended: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    within: float,
) -> None:
    """Remove containers and networks of ended runs from this machine: Docker's, and rootless Podman's.

    A run has ended when its process on this machine is gone; of yours, or for root of everybody's. Root may name a
    job, as epilogues do: it has ended because the batch system says so, and all of it goes, alive or not. What is
    not dgrid's, or another user's, is never touched. May be run at any time, also twice.

    Exit code 0: nothing is left; 125: something is, and why is told; 2: wrong usage.
    """
    began = time.monotonic()
    uid = os.getuid()
    wish = _wish(uid, jobs, sessions, users, ended, force)
    from dgrid.nodes.reap import reap as remove
    from dgrid.nodes.reap_choose import engines_here
    from dgrid.nodes.reap_engine import Circumstances, Deadline

    settings = find_settings(os.environ)
    here = Circumstances(socket.gethostname(), Deadline(began + within), _uid_of, dry_run)
    results = remove(engines_here(uid, wish.users, settings.engine, settings.engine_socket, here), wish, here)
    left = [one for result in results for one in result.left]
    if as_json:
        click.echo(json.dumps(_as_data(results, dry_run), indent=2))
    else:
        _tell(results, dry_run, quiet)
    for one in left:
        say(f"dgrid: {_left_text(one, here.host)}")
    context.exit(DgridError.exit_code if left else 0)


def _wish(
    uid: int, jobs: tuple[str, ...], sessions: tuple[str, ...], users: tuple[str, ...], ended: bool, force: bool
) -> Wish:
    if not all((*jobs, *sessions, *users)):
        raise UsageError("an empty name of a job, session or user; is a variable on the command line not set?")
    named = bool(jobs or sessions)
    if force and not named:
        raise UsageError("--force needs --job or --session: runs that live and that nobody names are never touched")
    allowed = frozenset(users) or None
    if uid:
        own = pwd.getpwuid(uid).pw_name
        if users and set(users) != {own}:
            raise UsageError(f"--user {' '.join(users)}: only root may remove what is another user's")
        allowed = frozenset({own})
    return Wish(frozenset(jobs), frozenset(sessions), allowed, ended or not named, by_word=force or not uid)


def _uid_of(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _tell(results: tuple[Reaped, ...], dry_run: bool, quiet: bool) -> None:
    verb = "would remove" if dry_run else "removed"
    lines = [f"{verb} {_text(one)} ({result.engine})" for result in results for one in result.removed]
    if not lines and not any(result.left for result in results):
        lines.append("nothing to remove")
    for line in () if quiet else lines:
        click.echo(line)


def _text(found: Found) -> str:
    if found.kind is Kind.DIRECTORY:
        return visible(f"directory {found.name} of {found.user}")
    job = f"job {found.job}, " if found.job else ""
    return visible(f"{found.kind.value} {found.name} of {found.user}, {job}session {found.session}")


def _left_text(left: Left, host: str) -> str:
    what = f"{_text(left.found)} is left ({left.engine})" if left.found else f"something may be left ({left.engine})"
    return f"{host}: {what}: {visible(left.why)}"


def _as_data(results: tuple[Reaped, ...], dry_run: bool) -> dict[str, Any]:
    removed = [_found_data(one, result.engine) for result in results for one in result.removed]
    left = [
        {**(_found_data(one.found, one.engine) if one.found else {"engine": one.engine}), "why": one.why}
        for result in results
        for one in result.left
    ]
    return {"would_remove" if dry_run else "removed": removed, "left": left}


def _found_data(found: Found, engine: str) -> dict[str, str]:
    return {
        "kind": found.kind.value,
        "name": found.name,
        "id": found.object_id,
        "engine": engine,
        "session": found.session,
        "job": found.job,
        "user": found.user,
    }
