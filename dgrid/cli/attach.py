"""``dgrid attach``: to the head container of a running job, again."""

from __future__ import annotations

import signal
import sys

import click

from dgrid.cli.looking import Sight, Where, as_output, finish, looking, where_options
from dgrid.cli.narrator import say
from dgrid.errors import DgridError, Stopped
from dgrid.plan.looking import Listed


@click.command()
@where_options
@click.option("--interactive", "-i", is_flag=True, help="Give the head dgrid's stdin, whose end is the head's as well.")
def attach(where: Where, interactive: bool) -> None:
    """Show what the head container writes from now on, until it ends; then the exit code is its own.

    Ctrl-C detaches, and the run goes on. If the head has a terminal, and this is one, too, the two are joined: every
    key goes there, ctrl-C as well, and ctrl-P ctrl-Q detaches. A head without a terminal gets no input without -i,
    as detaching would end its input.
    """
    with as_output(), looking(where) as sight:
        head = next((one for one in sight.run() if one.is_head), None)
        finish(sight.view.errors if head is None else ())
        if head is None or not head.is_running:
            raise DgridError(f"the head container does not run on {sight.looked_at}; `dgrid ps` shows what there is")
        try:
            code = _attach(sight, head, interactive)
        except Stopped as stopped:
            if stopped.signum != signal.SIGINT:
                raise
            say("dgrid: detached; the run goes on")
            code = 0
    sys.exit(code)


def _attach(sight: Sight, head: Listed, interactive: bool) -> int:
    from dgrid.nodes.look_calls import inspect
    from dgrid.nodes.look_session import attach as attach_to
    from dgrid.nodes.terminal import Streams

    machine, streams = sight.view.machine(head), Streams()
    tty = bool(inspect(machine, head.container_id)["Config"]["Tty"])
    joined = tty and streams.are_terminal()
    way = "ctrl-P ctrl-Q detaches, all other keys go there" if joined else "ctrl-C detaches"
    # A stopped process does not read, and the engine lets the head wait for that.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    text = f"dgrid: attached to {head.name} on {head.node}; {way}, and the run goes on"
    line_end = "\r\n" if joined else "\n"
    end = attach_to(
        machine,
        head.container_id,
        streams,
        interactive or joined,
        tty,
        sight.stop,
        lambda: say(text, line_end),
    )
    if end.bytes_left_out:
        say(f"dgrid: {end.bytes_left_out} bytes are not shown, as they were not read in time")
    if not end.is_over:
        say("dgrid: detached; the run goes on")
        return 0
    if end.exit_code is None:
        raise DgridError("the head container has ended, and was removed before its exit code could be asked for")
    return end.exit_code
