"""The command ``dgrid``: its groups of commands, and the one place where an error becomes an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from dgrid import __version__
from dgrid.cli.interrupts import silent_interrupts
from dgrid.cli.narrator import say
from dgrid.errors import DgridError, InputError, ManyNodesError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_CONTEXT = {"help_option_names": ["-h", "--help"]}


_COMMANDS = {
    "run": "run:run",
    "validate": "validate:validate",
    "plan": "plan:plan",
    "doctor": "doctor:doctor",
    "ps": "ps:ps",
    "logs": "logs:logs",
    "exec": "exec:exec_",
    "top": "top:top",
    "attach": "attach:attach",
    "stop": "stop:stop",
    "reap": "reap:reap",
    "image": "image:image",
    "lab": "lab:lab",
    "schema": "schema:schema",
    "hold": "hold:hold",
}
"""Each command's module in this package, and its name there: only what is called is imported (milliseconds count)."""


class _LateCommands(click.Group):
    """``dgrid --hostfile=F --dockdef=D`` means ``dgrid run --hostfile=F --dockdef=D``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help", "--version"):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of what is shown has gone: `dgrid plan | head`
            _drop_output()
            return 128 + signal.SIGPIPE

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name].split(":")
        with silent_interrupts():
            command: click.Command = getattr(import_module(f"dgrid.cli.{module}"), name)
        return command


@click.group(cls=_LateCommands, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="dgrid")
def dgrid() -> None:
    """Run groups of containers in a batch job, as yourself, and leave nothing behind."""


def entry() -> None:
    """The console script: errors of ours become a message and their exit code, bugs keep their traceback."""
    _open_closed_streams()
    pass_over_files_of_paramiko()
    try:
        code = dgrid.main(prog_name="dgrid", standalone_mode=False)
    except DgridError as error:
        for line in _lines(error):
            say(line)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        say(f"dgrid: cannot write the output ({error.strerror})")
        _drop_output()
        code = 125
    except click.Abort as abort:  # ctrl-C before there was anything to clean up
        if isinstance(abort.__cause__, EOFError):  # click takes that for ctrl-D; nothing here asks a person
            raise abort.__cause__ from None
        code = 128 + signal.SIGINT
    sys.exit(code)


def _drop_output() -> None:
    """What could not be written is not to be tried again at the end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _open_closed_streams() -> None:
    """Give a stream that was closed (``dgrid <&-``) the null device, as a batch job has.

    Else the next file or socket to be opened would get its number, and be taken for the user's stdin or stdout.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115  # they stay open as long as dgrid runs
    sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115


def pass_over_files_of_paramiko() -> None:
    """No traceback on stderr for what paramiko does at the end of a connection that broke: it flushes files whose
    buffers the garbage collector has closed before. Whatever else cannot be raised is told as ever."""

    # At Python's end this module's names may have gone: what it needs is its own.
    def tell(what: Any, tell_as_ever: Callable[[Any], object] = sys.unraisablehook) -> None:
        name = what.object.__qualname__ if hasattr(what.object, "__qualname__") else ""
        if what.exc_type is not ValueError or name != "BufferedFile.__del__":
            tell_as_ever(what)

    sys.unraisablehook = tell


def _lines(error: DgridError) -> list[str]:
    if isinstance(error, InputError):
        return str(error).splitlines()  # theirs begin with file:line
    if isinstance(error, ManyNodesError):
        from dgrid.report import gather

        return [f"dgrid: {line}" for line in gather((one.node, one.what) for one in error.errors)]
    return [f"dgrid: {line}" for line in str(error).splitlines()]
