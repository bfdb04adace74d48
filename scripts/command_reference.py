"""Writes docs/commands.md, the reference of the command line, from the commands themselves.

python scripts/command_reference.py > docs/commands.md
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from dgrid.cli.main import dgrid

_INTRODUCTION = """\
# The command line

<!-- Made from the commands by scripts/command_reference.py; change it there. -->

`dgrid --hostfile=FILE --dockdef=FILE` is `dgrid run --hostfile=FILE --dockdef=FILE`: options without a command are
those of `run`. Every command has `--help`.

| exit code | |
|---|---|
| the head container's | what the run ended with |
| 2 | the command line, the definition or the node file is wrong, or they do not fit together |
| 125 | dgrid could not start the job, or lost it |
| 126, 127 | the head's command cannot be run, or is not in its image; with Podman 1, as its init process has it |
| 128 + n | signal n ended the run |

stdout carries what the head container writes to its stdout, byte for byte, and nothing else. All that dgrid itself says
goes to stderr. What the user types or pipes in goes to the head container.
"""


def reference() -> str:
    """The page as markdown."""
    sections = (_section(name, command) for name, command in _commands("dgrid", dgrid))
    return "\n".join([_INTRODUCTION, *sections])


def _commands(name: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """The commands that do something, with their full names; those of groups come last."""
    context = click.Context(group)
    every = {word: one for word in group.list_commands(context) if (one := group.get_command(context, word))}
    found = {word: one for word, one in every.items() if not one.hidden}
    groups = {word: one for word, one in found.items() if isinstance(one, click.Group)}
    yield from ((f"{name} {word}", one) for word, one in found.items() if word not in groups)
    for word, inner in groups.items():
        yield from _commands(f"{name} {word}", inner)


def _section(name: str, command: click.Command) -> str:
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    options = [one for one in command.params if isinstance(one, click.Option)]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)])
    table = ["", "| option | |", "|---|---|", *map(_row, options)] if options else []
    return "\n".join([f"## {name}", "", f"    {usage}", "", _help(command), *table, ""])


def _help(command: click.Command) -> str:
    """Paragraphs joined to lines; those that begin with click's mark for examples become code."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(map(_paragraph, paragraphs))


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    if lines[0] == "\b":
        return "\n".join(f"    {line}" for line in lines[1:])
    return " ".join(lines)


def _argument(argument: click.Argument) -> str:
    metavar = argument.metavar or f"{(argument.name or '').upper()}{'...' if argument.nargs == -1 else ''}"
    return metavar if argument.required else f"[{metavar}]"


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{text}`" for text in _forms(option))
    help_text = re.sub(r"\s+", " ", option.help or "").replace("|", "\\|")
    default = f" Default: `{option.default}`." if option.show_default else ""
    required = " Required." if option.required else ""
    return f"| {names} | {help_text}{required}{default} |"


def _forms(option: click.Option) -> list[str]:
    if option.is_flag:
        return list(option.opts)
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    value = option.metavar or "\\|".join(choices) or option.type.name.upper().removesuffix(" RANGE")
    return [f"{text} {value}" for text in option.opts]


if __name__ == "__main__":
    print(reference(), end="")
