"""``--spool``: where output waits whose reader has stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dgrid.nodes.outlet import Outlets

_TEMPORARY = ""

spool_option = click.option(
    "--spool",
    metavar="[DIR]",
    is_flag=False,
    flag_value=_TEMPORARY,
    help="Output that its reader does not take at once waits in a file in DIR ($TMPDIR), so the head container never "
    "waits for the reader. Default: it waits, as with any pipe.",
)
"""An argument ``spool``: None without the option, "" for $TMPDIR."""


def open_outlets(spool: str | None, environment: Mapping[str, str], live: bool) -> Outlets:
    """The way out for the head container's output. Raises UsageError for a directory that cannot be written."""
    from dgrid.nodes.outlet import Outlets
    from dgrid.nodes.spool import Spool

    directory = Path(spool or environment.get("TMPDIR") or "/tmp")
    return Outlets(1, 2, None if spool is None else Spool(directory), "\r\n" if live else "\n")
