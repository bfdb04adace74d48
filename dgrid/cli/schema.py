"""``dgrid schema``: the JSON schema of the docker definition, for editors."""

from __future__ import annotations

import click

from dgrid.plan.schema import schema_text


@click.command()
def schema() -> None:
    """Print the JSON schema of the docker definition.

    Keep it beside your definitions, as in "dgrid schema > dockerdef.schema.json", and name it in them with
    "$schema": "./dockerdef.schema.json": editors then complete keys, explain them and mark mistakes.
    """
    click.echo(schema_text(), nl=False)
