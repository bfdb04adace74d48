"""``dgrid exec``: a command in containers of a running job."""

from __future__ import annotations

import sys

import click

from dgrid.cli.looking import Sight, Where, as_output, finish, looking, show_gathered, where_options
from dgrid.errors import DgridError, NodeError, UsageError
from dgrid.plan.looking import Listed, pick


@click.command("exec", context_settings={"allow_interspersed_args": False})
@where_options
@click.option("--interactive", "-i", is_flag=True, help="Give it dgrid's stdin.")
@click.option("--tty", "-t", is_flag=True, help="Give it a terminal, of this one's size.")
@click.argument("container", metavar="CONTAINER")
@click.argument("command", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(where: Where, container: str, command: tuple[str, ...], interactive: bool, tty: bool) -> None:
    """Run COMMAND in a running container, as yourself; the exit code is its own.

    CONTAINER is worker-2, or worker for all its instances: then it runs in each, equal output comes once under the
    names, and the largest exit code counts. 126 and 127 say that the command cannot be run, or is not there; 125 that
    a node failed.
    """
    from dgrid.nodes.terminal import Streams

    if tty and not (interactive and Streams().are_terminal()):
        raise UsageError("-t needs a terminal on stdin and stdout, and -i: write `dgrid exec -it`, in a terminal")
    command = command[1:] if command[0] == "--" and len(command) > 1 else command
    with as_output(), looking(where) as sight:
        wanted = _running(pick(sight.run(), (container,)))
        errors: tuple[NodeError, ...] = ()
        if len(wanted) == 1:
            code = _run_one(sight, wanted[0], command, interactive, tty)
        elif interactive:
            raise UsageError(f"-i and -t are for one container, and {container} is {len(wanted)}: name one of them")
        else:
            code, errors = _run_all(sight, wanted, command)
        finish((*sight.view.errors, *errors))
    sys.exit(code)


def _running(picked: tuple[Listed, ...]) -> tuple[Listed, ...]:
    for one in picked:
        if one.state != "running":
            raise DgridError(f"{one.node}: {one.name} does not run (it is {one.state}), so nothing can be run in it")
    return picked


def _run_one(sight: Sight, one: Listed, command: tuple[str, ...], interactive: bool, tty: bool) -> int:
    from dgrid.nodes.look_session import run_command
    from dgrid.nodes.terminal import Streams

    machine = sight.view.machine(one)
    return run_command(machine, one.container_id, command, sight.ids, Streams(), interactive, tty, sight.stop)


def _run_all(sight: Sight, wanted: tuple[Listed, ...], command: tuple[str, ...]) -> tuple[int, tuple[NodeError, ...]]:
    from dgrid.nodes.look_command import run_in_all
    from dgrid.nodes.output import to_streams
    from dgrid.nodes.terminal import Streams

    ran, errors = run_in_all(sight.view, wanted, command, sight.ids, sight.stop)
    write = to_streams(Streams())
    show_gathered(write, False, [(one.name, one.out) for one in ran])
    show_gathered(write, True, [(one.name, one.err) for one in ran])
    sight.stop.check()
    return max((one.exit_code for one in ran), default=125), errors
