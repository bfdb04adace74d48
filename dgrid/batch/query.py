"""How a batch system is asked for the nodes of a job from outside: a command, and how its output is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dgrid.record import record


@record
class Finished:
    """A command that has ended, and what it printed."""

    exit_code: int
    output: str
    errors: str = ""


Ask = Callable[[tuple[str, ...]], Finished | None]
"""Runs a command; None where there is no such command."""


@record
class JobQuery:
    """The command that tells of a job (``{job}`` stands for its id), and how to read its output: names, maybe repeated.

    ``unfold`` is the system's own command for folded names; its argument, the folded text, comes last.
    """

    command: tuple[str, ...]
    parse: Callable[[str], tuple[str, ...]]
    unfold: tuple[str, ...] = ()


def values_of(output: str, key: str) -> tuple[Any, ...]:
    """All values of a key, wherever it stands in JSON: ``values_of('{"1": {"a": "x"}}', "a") == ("x",)``.

    None for what is no JSON.
    """
    try:
        return tuple(_values(json.loads(output), key))
    except (ValueError, RecursionError):
        return ()


def exec_hosts(text: str) -> tuple[str, ...]:
    """``exec_hosts("n1/0*2+n2/0*2") == ("n1", "n2")``, as OpenPBS and Torque write them."""
    return tuple(dict.fromkeys(part.partition("/")[0] for part in text.split("+") if part.strip()))


def _values(found: Any, key: str) -> list[Any]:
    if isinstance(found, dict):
        here = [found[key]] if key in found else []
        return [*here, *(value for one in found.values() for value in _values(one, key))]
    return [value for one in found for value in _values(one, key)] if isinstance(found, list) else []
