"""``dgrid lab``: a cluster of containers on this machine, for trying and testing."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import click

from dgrid.cli.lab_hosts import COMMANDS, caches, lab_name, open_shell, running_lab, say, this_machine
from dgrid.cli.stopping import stopping
from dgrid.errors import UsageError
from dgrid.lab.find import find_lab, lab_names
from dgrid.lab.machine import failures_told
from dgrid.lab.shape import (
    FRONT,
    Batch,
    Bind,
    LabUser,
    NodeEngine,
    Shape,
    check_name,
    lab_users,
    parse_bind,
    parse_port,
)

_PROXY_NAMES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


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
@lab_name
@click.option("--nodes", "-n", default=4, show_default=True, help="How many nodes, beside the frontend.")
@click.option(
    "--batch", type=click.Choice([one.value for one in Batch]), default="torque", show_default=True,
    help="The batch system. torque: Slurm with Torque's commands; sge: Grid Engine; none: ssh and engines alone.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice([one.value for one in NodeEngine]), default="docker", show_default=True,
    help="What runs containers on the nodes. With podman there is no dockerd.",
)  # fmt: skip
@click.option(
    "--slots", metavar="INTEGER", type=click.IntRange(1), default=4, show_default=True,
    help="Slots of each node (ppn).",
)  # fmt: skip
@click.option("--swarm", is_flag=True, help="Join the nodes' engines to a swarm, for overlay networks.")
@click.option(
    "--volume", "-v", "volumes", metavar="HOST:CONTAINER[:ro]", multiple=True,
    help="A directory or file of this machine, on every host of the lab; may be given several times.",
)  # fmt: skip
@click.option(
    "--data", metavar="DIR",
    help="A directory of this machine, at /data on every host; made if it is not there, and kept when the lab goes.",
)  # fmt: skip
@click.option(
    "--publish", "-p", "ports", metavar="HERE:FRONT", multiple=True,
    help="Port HERE of this machine (127.0.0.1) is port FRONT of the frontend; may be given several times.",
)  # fmt: skip
@click.option("--connect", is_flag=True, help="Open a shell on the frontend when the lab is up.")
@click.option("--timeout", default=60, show_default=True, help="Seconds until every host must work.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
def up(name: str, connect: bool, timeout: int, quiet: bool, **wanted: Any) -> None:
    """Start a lab; the first time, its image is built.

    \b
    dgrid lab up
    dgrid lab up -n 10 --batch oar --connect
    """
    from dgrid.lab.up import up as start_lab

    shape = _shape(name, **wanted)
    build_env = {key: os.environ[key] for key in _PROXY_NAMES if key in os.environ}
    with stopping():
        machine = this_machine()
        found = start_lab(machine, shape, (lambda _text: None) if quiet else say, build_env, timeout)
    name_given = "" if name == "lab" else f" --name {name}"
    if not quiet:
        say(f"lab {name} is up; try: dgrid lab ssh{name_given}")
    if connect:
        open_shell(machine, found, FRONT)


@lab.command()
@lab_name
@click.option("--image", is_flag=True, help="Remove the node image, too; the next `lab up` builds it again.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
def down(name: str, image: bool, quiet: bool) -> None:
    """Remove a lab and everything in it."""
    from dgrid.lab.down import down as remove_lab
    from dgrid.lab.node_image import remove_images
    from dgrid.lab.ssh_access import forget_keys

    check_name(name)
    machine = this_machine()
    if not remove_lab(machine, name, (lambda _text: None) if quiet else say) and not image:
        find_lab(machine, name)  # says which labs there are
    forget_keys(name, caches())
    if image:
        remove_images(machine)


@lab.command(name="list")
def list_labs() -> None:
    """The names of this machine's labs."""
    for name in lab_names(this_machine().client()):
        click.echo(name)


@lab.command()
@lab_name
@click.option("--json", "as_json", is_flag=True, help="As data.")
def status(name: str, as_json: bool) -> None:
    """Show each host: state, engine, batch system's state, address."""
    from dgrid.lab.status import status as ask
    from dgrid.lab.status import status_to_json, status_to_text

    machine = this_machine()
    rows = ask(machine, running_lab(machine, name))
    click.echo(status_to_json(rows) if as_json else status_to_text(rows))


def _caller() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user{os.getuid()}"


def _shape(
    name: str,
    nodes: int,
    batch: str,
    engine: str,
    slots: int,
    swarm: bool,
    volumes: tuple[str, ...],
    data: str | None,
    ports: tuple[str, ...],
) -> Shape:
    people = lab_users(_caller(), os.getuid(), os.getgid())
    here = str(Path.cwd())
    binds = [parse_bind(text, here) for text in volumes]
    for bind in binds:
        _check_source(bind)
    if data is not None:
        binds.append(Bind(_data_directory(Path(here, data), people[0]), "/data"))
    published = tuple(parse_port(text) for text in ports)
    return Shape(name, nodes, Batch(batch), NodeEngine(engine), slots, swarm, people, tuple(binds), published)


def _check_source(bind: Bind) -> None:
    use = f"{bind.source} on this machine, which was to be a volume at {bind.target}"
    try:
        there = Path(bind.source).exists()
    except OSError as error:
        raise UsageError(f"cannot look at {use} ({error.strerror}); choose what you can reach") from error
    if not there:
        raise UsageError(f"there is no {use}")


def _data_directory(path: Path, user: LabUser) -> str:
    """Made for the lab's user, unless it is there."""
    try:
        if not path.exists():
            path.mkdir(parents=True)
            os.chown(path, user.uid, user.gid)
    except OSError as error:
        raise UsageError(
            f"cannot have {path} for --data ({error.strerror}); choose a directory in which you may write"
        ) from error
    return str(path)


for _command in COMMANDS:
    lab.add_command(_command)
