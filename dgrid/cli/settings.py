"""The settings of the site and the user, with those of the command line over them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dgrid.batch.detect import ending_of
from dgrid.config import Settings, read_settings
from dgrid.errors import UsageError


def find_settings(
    environment: Mapping[str, str],
    link: str | None = None,
    engine: str | None = None,
    engine_socket: str | None = None,
) -> Settings:
    """``/etc/dgrid/config.toml``, then the user's file, then what the command line says. Raises UsageError."""
    if engine_socket == "":
        raise UsageError("--engine-socket: the name is empty; is a variable on the command line not set?")
    own = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '/')}/.config"
    settings = read_settings((Path("/etc/dgrid/config.toml"), Path(own) / "dgrid" / "config.toml"))
    return replace(
        settings,
        link=link or settings.link,
        carrier=settings.carrier or _own_command(environment),
        engine=engine or settings.engine,
        engine_socket=engine_socket or settings.engine_socket,
    )


def _own_command(environment: Mapping[str, str]) -> str | None:
    """The command to other nodes of the batch system whose job this is; None where that is ssh, and outside of jobs."""
    system = ending_of(environment)
    return None if system is None or system.reach == ("ssh",) else shlex.join(system.reach)
