"""The command ``dgrid``: its groups of commands, and the one place where an error becomes an exit code."""

from __future__ import annotations

import sys

import click

from dgrid import __version__
from dgrid.cli.lab import lab
from dgrid.cli.run import run
from dgrid.cli.schema import schema
from dgrid.cli.validate import validate
from dgrid.errors import DgridError, InputError

_CONTEXT = {"help_option_names": ["-h", "--help"]}


class _RunByDefault(click.Group):
    """``dgrid --hostfile=F --dockdef=D`` means ``dgrid run --hostfile=F --dockdef=D``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help", "--version"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunByDefault, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="dgrid")
def dgrid() -> None:
    """Run groups of containers in a batch job, as yourself, and leave nothing behind."""


dgrid.add_command(run)
dgrid.add_command(lab)
dgrid.add_command(schema)
dgrid.add_command(validate)


def entry() -> None:
    """The console script: errors of ours become a message and their exit code, bugs keep their traceback."""
    try:
        dgrid.main(prog_name="dgrid", standalone_mode=True)
    except DgridError as error:
        text = str(error) if isinstance(error, InputError) else f"dgrid: {error}"  # theirs begin with file:line
        click.echo(text, err=True)
        sys.exit(error.exit_code)
