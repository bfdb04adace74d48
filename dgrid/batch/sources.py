"""What there is to learn about a job from: environment, files, commands; all of it the caller's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dgrid.record import record
from dgrid.units import parse_duration

Command = tuple[str, ...]


def _no_file(_path: str) -> bytes:
    return b""


def _no_command(_command: Command) -> str | None:
    return None


@record
class Surroundings:
    """What a process in a job sees around it.

    ``read`` gives what is in a file, and raises UsageError. ``ask`` runs a command and gives its output, None if it
    failed or did not end in time. ``hostname`` is this machine's.
    """

    environment: Mapping[str, str]
    read: Callable[[str], bytes] = _no_file
    ask: Callable[[Command], str | None] = _no_command
    hostname: str = "localhost"


@record
class Sources:
    """What there is to learn the time left from.

    ``now_s`` is the time of day, in seconds since 1970. ``ask`` runs a command and gives its output, None if it failed
    or did not end in time. ``age_s`` tells for how long the job's first process has been running, None if unknown.
    """

    environment: Mapping[str, str]
    now_s: float
    ask: Callable[[Command], str | None]
    age_s: Callable[[], float | None] = lambda: None


def duration(text: Any) -> float | None:
    """``duration("1:30") == 90``; None for what is no duration."""
    try:
        return parse_duration(str(text))
    except ValueError:
        return None


def left_by_age(sources: Sources, walltime: str) -> float | None:
    """The walltime, as "1:30:00" or seconds, less the age of the job's first process; "" is none."""
    limit_s = duration(walltime)
    age_s = sources.age_s() if limit_s is not None else None
    return None if limit_s is None or age_s is None else limit_s - age_s
