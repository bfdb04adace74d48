"""``dgrid lab``'s commands for the hosts of a lab: commands and shells on them, their logs, images, more and fewer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from dgrid.cli.narrator import say as write
from dgrid.cli.stopping import stopping
from dgrid.errors import LabError, UsageError
from dgrid.lab.execute import Command, user_environment, write_all
from dgrid.lab.find import Lab, find_lab
from dgrid.lab.machine import DEFAULT_ENGINE, Machine, machine_at
from dgrid.lab.shape import FRONT, check_name

_DEFAULT_NAME = "lab"

lab_name = click.option(
    "--name", default=_DEFAULT_NAME, show_default=True, help="Which lab; several may run side by side."
)


@click.command(context_settings={"allow_interspersed_args": False})
@lab_name
@click.option("--as", "user", help="Who runs it: the lab's own user if not given, the second one, or root.")
@click.option("--on", "host", default=FRONT, show_default=True, help="On which host.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(name: str, user: str | None, host: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on a host of the lab, with these streams and its exit code.

    \b
    dgrid lab run -- qsub job.pbs
    dgrid lab run --on node2 --as root -- docker ps
    """
    machine = this_machine()
    found = running_lab(machine, name)
    _run(machine, found, host, _command(found, user, command))


@click.command()
@lab_name
@click.argument("host", default=FRONT)
def ssh(name: str, host: str) -> None:
    """A shell of the lab's user on HOST (the frontend if not given)."""
    machine = this_machine()
    open_shell(machine, running_lab(machine, name), host)


@click.command(name="ssh-config")
@lab_name
def ssh_config(name: str) -> None:
    """Print a configuration for plain ssh from this machine to the hosts of the lab.

    \b
    dgrid lab ssh-config >lab.conf
    ssh -F lab.conf node1
    scp -F lab.conf job.json front:

    It names a key and the hosts' keys, which lie in ~/.cache/dgrid until `dgrid lab down`. Write it again for another
    lab of the same name, and after nodes were added.
    """
    from dgrid.lab.ssh_access import ssh_config as access

    machine = this_machine()
    click.echo(access(machine, running_lab(machine, name), caches()))


@click.command()
@lab_name
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written; needs HOST.")
@click.option(
    "--tail", metavar="N", type=click.IntRange(0), default=20, show_default=True, help="The last N lines of each."
)
@click.argument("host", required=False)
@click.argument("service", required=False)
def logs(name: str, follow: bool, tail: int, host: str | None, service: str | None) -> None:
    """Show the logs of HOST, or of all hosts: start script, syslog, sshd, engine, batch system.

    SERVICE is any part of a log's name, as in `dgrid lab logs front slurmctld`.
    """
    from dgrid.lab.log_files import find_logs, follow_command, last_lines

    if follow and not host:
        raise UsageError("--follow needs a host, as in: dgrid lab logs --follow node1")
    machine = this_machine()
    found = running_lab(machine, name)
    if follow and host:
        _check_running(found, host)
    wanted = find_logs(machine, found, host, service)
    if follow and host:
        _run(machine, found, host, follow_command(wanted, tail))
    for number, log in enumerate(wanted):
        title = f"{chr(10) if number else ''}==> {log.host.host} {log.path} <==\n"
        write_all(1, title.encode() + last_lines(machine, log, tail))


@click.command()
@lab_name
@click.option("--timeout", default=60, show_default=True, help="Seconds until every host must work.")
@click.argument("number", type=click.IntRange(1), default=1)
def add(name: str, timeout: int, number: int) -> None:
    """Add NUMBER nodes (one if not given) to a lab while it runs."""
    from dgrid.lab.grow import add as grow

    with stopping():
        machine = this_machine()
        grown = grow(machine, running_lab(machine, name), number, say, timeout)
    say(f"lab {name} has {len(grown.shape.nodes)} nodes")


@click.command()
@lab_name
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True)
def remove(name: str, nodes: tuple[str, ...]) -> None:
    """Remove nodes from a lab while it runs, with whatever runs on them."""
    from dgrid.lab.grow import remove as shrink

    machine = this_machine()
    shrink(machine, running_lab(machine, name), tuple(dict.fromkeys(nodes)), say)


@click.command(name="load")
@lab_name
@click.argument("images", nargs=-1, required=True)
def load_images(name: str, images: tuple[str, ...]) -> None:
    """Copy IMAGES of this machine's engine into the engine of every node."""
    from dgrid.lab.load import load

    machine = this_machine()
    load(machine, running_lab(machine, name), images)


@click.command()
@lab_name
def update(name: str) -> None:
    """Copy this dgrid into a running lab again, after a change."""
    from dgrid.lab.up import update as install

    machine = this_machine()
    install(machine, running_lab(machine, name))


COMMANDS = (run, ssh, ssh_config, logs, add, remove, load_images, update)


def open_shell(machine: Machine, found: Lab, host: str) -> None:
    """A login shell of the lab's user on a host; ends the program with its exit code."""
    found.host(host)
    argv = ("bash", "-l") if host == FRONT else ("ssh", host)
    _run(machine, found, FRONT, _command(found, None, argv))


def this_machine() -> Machine:
    """The engine that labs are built on; $DOCKER_HOST names another."""
    return machine_at(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE)


def running_lab(machine: Machine, name: str) -> Lab:
    """The lab of that name. Raises UsageError and LabError."""
    check_name(name)
    return find_lab(machine, name)


def _command(found: Lab, user: str | None, argv: tuple[str, ...]) -> Command:
    names = [one.name for one in found.shape.users]
    who = user or names[0]
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    terminal = {"TERM": os.environ.get("TERM", "xterm")} if tty else {}
    if who == "root":
        return Command("root", argv, "/root", tuple(terminal.items()), tty)
    if who not in names:
        raise UsageError(f"lab {found.shape.name} has no user {who!r}; it has {', '.join(names)} and root")
    return Command(who, argv, f"/home/{who}", tuple({**user_environment(who), **terminal}.items()), tty)


def _run(machine: Machine, found: Lab, host: str, command: Command) -> None:
    """Ends the program with the command's exit code."""
    from dgrid.cli.streams import join_streams

    _check_running(found, host)
    sys.exit(join_streams(machine, found.host(host).container_id, command))


def _check_running(found: Lab, host: str) -> None:
    state = found.host(host).state
    if state != "running":
        raise LabError(f"{host} of lab {found.shape.name} is not running but {state}")


def caches() -> Path:
    """Where files are that can be made again: $XDG_CACHE_HOME, else ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def say(text: str) -> None:
    """What dgrid lab itself has to say, on stderr."""
    for line in text.splitlines():
        write(f"dgrid lab: {line}")
