"""``dgrid validate``: says whether definitions are right, and all that is wrong with them, in an instant."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click

from dgrid.cli.files import read_definition, shown_name
from dgrid.errors import DefinitionError, Problem
from dgrid.plan.definition import Definition
from dgrid.record import record


@record
class _Checked:
    """One file: its definition, or None and what is wrong with it."""

    file: str
    definition: Definition | None
    problems: tuple[Problem, ...] = ()


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print the results as data, problems included.")
@click.pass_context
def validate(context: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Check docker definitions without running anything.

    Each FILE ("-" is stdin) is checked by itself: a line on stdout for each one that is right, and for the others
    every mistake on stderr, with its line and column and what to do. Exit code 0 if all are right, else 2.
    """
    checked = [_check(file) for file in files]
    if as_json:
        click.echo(json.dumps([_as_data(one) for one in checked], indent=2))
    else:
        _print(checked)
    context.exit(0 if all(one.definition for one in checked) else DefinitionError.exit_code)


def _check(file: str) -> _Checked:
    name = shown_name(file)
    try:
        return _Checked(name, read_definition(file, os.environ))
    except DefinitionError as error:
        return _Checked(name, None, error.problems)


def _print(checked: Iterable[_Checked]) -> None:
    for one in checked:
        if one.definition is not None:
            count = len(one.definition.containers)
            noun = "container" if count == 1 else "containers"
            click.echo(f'{one.file}: ok ({count} {noun}, head "{one.definition.head.name}")')
        for problem in one.problems:
            click.echo(str(problem), err=True)


def _as_data(one: _Checked) -> dict[str, Any]:
    names = [container.name for container in one.definition.containers] if one.definition else None
    return {
        "file": one.file,
        "ok": one.definition is not None,
        "head": one.definition.head.name if one.definition else None,
        "containers": names,
        "problems": [asdict(problem) for problem in one.problems],
    }
