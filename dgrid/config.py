"""Settings of the site and the user: /etc/dgrid/config.toml, then ~/.config/dgrid/config.toml over it.

[nodes]
link = "openssh"
engine = "podman"
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from dgrid.errors import UsageError
from dgrid.record import record

LINKS = ("auto", "paramiko", "openssh", "batch")
"""How other nodes are reached; "batch" is by the batch system's own command."""

_CHOICES = {
    "link": LINKS,
    "engine": ("auto", "docker", "podman"),
    "images": ("keep", "remove"),
    "job_limits": ("auto", "copy", "none"),
}

BEATS_TO_A_LEASE = 3
"""At least: two of them may be late."""


@record
class Settings:
    """What a run may be told besides its definition and its nodes; times in seconds.

    ``link`` is how nodes are reached; ``carrier`` the command by which "batch" does, and "auto" where ssh is refused:
    the node's name ends it, and None is the batch system's own. ``engine`` is which of the nodes' engines is used
    ("auto": Docker where it answers, else Podman), ``engine_socket`` the engine's socket there, None where it is in its
    usual place.
    ``images`` is what becomes of images that a run has brought to nodes. ``job_limits`` is what containers get of the
    job's limits on their node: "auto" puts them into the job's cgroup where that can be, else they get its limits, as
    they do with "copy"; "none" leaves them without.
    ``connect_timeout_s`` bounds a log-in, ``call_timeout_s`` one call of an engine, ``pull_timeout_s`` fetching one
    image. A leash hears from dgrid every ``heartbeat_s``; after ``lease_s`` of silence the run is over for it, and its
    machine lost for dgrid; so it is when its engine has been away, as for an update, for ``engine_wait_s``. ``grace_s``
    is the time from asking a container to end to killing it. ``parallel`` is how many nodes are worked on at a time.
    """

    link: str = "auto"
    carrier: str | None = None
    engine: str = "auto"
    engine_socket: str | None = None
    images: str = "keep"
    job_limits: str = "auto"
    connect_timeout_s: float = 10.0
    call_timeout_s: float = 60.0
    pull_timeout_s: float = 1800.0
    heartbeat_s: float = 2.0
    lease_s: float = 15.0
    engine_wait_s: float = 60.0
    grace_s: float = 10.0
    parallel: int = 32


def read_settings(files: Iterable[Path]) -> Settings:
    """Later files win; files that are not there are no error. Raises UsageError naming the file and the key."""
    settings = Settings()
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except UnicodeDecodeError as error:
            raise UsageError(f"{file}: this is not TOML: it is not UTF-8 text") from error
        except OSError as error:
            raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
        settings = replace(settings, **_table(file, text))
        if settings.lease_s < BEATS_TO_A_LEASE * settings.heartbeat_s:
            raise UsageError(
                f"{file}: nodes.lease_s, {settings.lease_s:g} s, is too short for a heartbeat_s of "
                f"{settings.heartbeat_s:g} s: it would end healthy runs; make it {BEATS_TO_A_LEASE} times that or more"
            )
    return settings


def _table(file: Path, text: str) -> dict[str, Any]:
    import tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: this is not TOML: {error}") from error
    strangers = sorted(set(data) - {"nodes"})
    if strangers:
        raise UsageError(f"{file}: there is no setting {strangers[0]}; all settings stand in the table [nodes]")
    table = data.get("nodes", {})
    if not isinstance(table, dict):
        raise UsageError(f"{file}: nodes is a table: write [nodes] on a line of its own, and settings below it")
    return {key: _value(file, key, value) for key, value in table.items()}


def _value(file: Path, key: str, value: Any) -> Any:
    types = {field.name: str(field.type) for field in fields(Settings)}
    if key not in types:
        raise UsageError(f"{file}: there is no setting nodes.{key}; there are: {', '.join(types)}")
    if key in _CHOICES and value not in _CHOICES[key]:
        raise UsageError(f"{file}: nodes.{key} is one of {', '.join(_CHOICES[key])}")
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if key == "carrier":
        fits, right = isinstance(value, str) and _is_command(value), "a command, quoted as for a shell"
    elif types[key].startswith("str"):
        fits, right = isinstance(value, str), "a text"
    elif types[key] == "int":
        fits, right = number and int(value) == value and value >= 1, "a whole number from 1 on"
    elif key == "grace_s":
        fits, right = number and value >= 0, "a number of seconds, 0 or more"
    else:
        fits, right = number and value > 0, "a number of seconds above 0"
    if not fits:
        raise UsageError(f"{file}: nodes.{key} cannot be {value!r}; it is {right}")
    return {"int": int, "float": float}.get(types[key], str)(value)


def _is_command(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True
