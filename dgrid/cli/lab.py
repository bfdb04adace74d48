"""``dgrid lab``: a cluster of containers on this machine, for trying and testing."""

from __future__ import annotations

import os
import pwd
import signal
import sys
from typing import Any

import click

from dgrid.errors import LabError, Stopped, UsageError
from dgrid.lab.execute import Command, user_environment
from dgrid.lab.find import Lab, find_lab, lab_names
from dgrid.lab.machine import DEFAULT_ENGINE, Machine, failures_told, machine_at
from dgrid.lab.shape import FRONT, Batch, NodeEngine, Shape, check_name, lab_users

_DEFAULT_NAME = "lab"
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PROXY_NAMES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

_name = click.option(
    "--name", default=_DEFAULT_NAME, show_default=True, help="Which lab; several may run side by side."
)


class _LabGroup(click.Group):
    """No call to this machine's engine ends in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        with failures_told():
            return super().invoke(ctx)


@click.group(cls=_LabGroup)
def lab() -> None:
    """A cluster of containers on this machine: batch system, nodes, users; to try dgrid in.

    Needs a Docker Engine, and nothing else.
    """


@lab.command()
@_name
@click.option("--nodes", default=4, show_default=True, help="How many nodes, beside the frontend.")
@click.option(
    "--batch", type=click.Choice([one.value for one in Batch]), default="torque", show_default=True,
    help="The batch system. torque: Slurm with Torque's commands; sge: Grid Engine; none: ssh and engines alone.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice([one.value for one in NodeEngine]), default="docker", show_default=True,
    help="What runs containers on the nodes. With podman there is no dockerd.",
)  # fmt: skip
@click.option("--slots", default=4, show_default=True, help="Slots of each node (ppn).")
@click.option("--swarm", is_flag=True, help="Join the nodes' engines to a swarm, for overlay networks.")
@click.option("--timeout", default=60, show_default=True, help="Seconds until every host must work.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
def up(
    name: str, nodes: int, batch: str, engine: str, slots: int, swarm: bool, timeout: int, quiet: bool
) -> None:  # fmt: skip
    """Start a lab; the first time, its image is built."""
    from dgrid.lab.up import up as start_lab

    people = lab_users(_caller(), os.getuid(), os.getgid())
    shape = Shape(name, nodes, Batch(batch), NodeEngine(engine), slots, swarm, people)
    build_env = {key: os.environ[key] for key in _PROXY_NAMES if key in os.environ}
    for signum in _STOPPING:
        signal.signal(signum, _stop)
    start_lab(_machine(), shape, (lambda _text: None) if quiet else _say, build_env, timeout)
    if not quiet:
        _say(f"lab {name} is up; try: dgrid lab ssh{'' if name == _DEFAULT_NAME else f' --name {name}'}")


@lab.command()
@_name
@click.option("--image", is_flag=True, help="Remove the node image, too; the next `lab up` builds it again.")
def down(name: str, image: bool) -> None:
    """Remove a lab and everything in it."""
    from dgrid.lab.down import down as remove_lab
    from dgrid.lab.node_image import remove_images

    check_name(name)
    machine = _machine()
    if not remove_lab(machine, name) and not image:
        find_lab(machine, name)  # says which labs there are
    if image:
        remove_images(machine)


@lab.command(name="list")
def list_labs() -> None:
    """The names of this machine's labs."""
    for name in lab_names(_machine().client()):
        click.echo(name)


@lab.command()
@_name
@click.option("--json", "as_json", is_flag=True, help="As data.")
def status(name: str, as_json: bool) -> None:
    """Show each host: state, engine, batch system's state, address."""
    from dgrid.lab.status import status as ask
    from dgrid.lab.status import status_to_json, status_to_text

    machine = _machine()
    rows = ask(machine, _lab(machine, name))
    click.echo(status_to_json(rows) if as_json else status_to_text(rows))


@lab.command(context_settings={"ignore_unknown_options": True})
@_name
@click.option("--as", "user", help="Who runs it: the lab's own user if not given, the second one, or root.")
@click.option("--on", "host", default=FRONT, show_default=True, help="On which host.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(name: str, user: str | None, host: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on a host of the lab, with these streams and its exit code.

    \b
    dgrid lab run -- qsub job.pbs
    dgrid lab run --on node2 --as root -- docker ps
    """
    machine = _machine()
    found = _lab(machine, name)
    _run(machine, found, host, _command(found, user, command))


@lab.command()
@_name
@click.argument("host", default=FRONT)
def ssh(name: str, host: str) -> None:
    """A shell of the lab's user on HOST (the frontend if not given)."""
    machine = _machine()
    found = _lab(machine, name)
    found.host(host)
    argv = ("bash", "-l") if host == FRONT else ("ssh", host)
    _run(machine, found, FRONT, _command(found, None, argv))


@lab.command(name="load")
@_name
@click.argument("images", nargs=-1, required=True)
def load_images(name: str, images: tuple[str, ...]) -> None:
    """Copy IMAGES of this machine's engine into the engine of every node."""
    from dgrid.lab.load import load

    machine = _machine()
    load(machine, _lab(machine, name), images)


@lab.command()
@_name
def update(name: str) -> None:
    """Copy this dgrid into a running lab again, after a change."""
    from dgrid.lab.up import update as install

    machine = _machine()
    install(machine, _lab(machine, name))


def _machine() -> Machine:
    return machine_at(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE)


def _lab(machine: Machine, name: str) -> Lab:
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

    target = found.host(host)
    if target.state != "running":
        raise LabError(f"{host} of lab {found.shape.name} is not running but {target.state}")
    sys.exit(join_streams(machine, target.container_id, command))


def _caller() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user{os.getuid()}"


def _stop(signum: int, _frame: Any) -> None:
    for each in _STOPPING:
        signal.signal(each, signal.SIG_IGN)  # what was begun is being removed: that takes two seconds
    raise Stopped(signum, signal.Signals(signum).name)


def _say(text: str) -> None:
    click.echo(f"dgrid lab: {text}", err=True)
