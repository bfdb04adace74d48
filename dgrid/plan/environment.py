"""Environment variables of a container. Values may be secrets: no message shows one, or a piece that could be one."""

from __future__ import annotations

import re

from dgrid.plan.mistake import Mistake

# Shells want no dots and hyphens, but programs in containers are configured by such names too ("discovery.type").
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_BAD = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_NAME = 255
_FORM = 'write "NAME=value"'


def parse_assignment(text: str) -> tuple[str, str]:
    """``parse_assignment("DB_PORT=27017") == ("DB_PORT", "27017")``; everything after the first "=" is the value."""
    name, equals, value = text.partition("=")
    if not equals:
        raise Mistake('there is no "=" in it', f'{_FORM}, or "NAME=${{NAME}}" to hand on a variable of dgrid\'s own')
    return check_name(name), value


def entry_value(value: object) -> str:
    """``entry_value(27017) == "27017"``: a value of the form as an object."""
    if isinstance(value, float):
        raise Mistake("the number would not arrive as it is written", "put it in double quotes")
    return str(value)


def check_name(name: str) -> str:
    """Return ``name`` if an environment variable may be called so, and is not dgrid's own; else raise Mistake.

    A bad name is not shown: it may be a value that was written where its name is missing.
    """
    if not name:
        raise Mistake('the name before the "=" is missing', _FORM)
    if name != name.strip():
        raise Mistake('the name has a blank at its beginning or before the "="', "remove it")
    if not _NAME.fullmatch(name):
        match = _BAD.search(name)
        fault = f"character {match.start() + 1} of the name" if match else "the digit at the beginning of the name"
        raise Mistake(f"{fault} is not allowed", "names consist of letters, digits, _, . and -, not a digit first")
    if len(name) > _LONGEST_NAME:
        raise Mistake(f"the name is longer than {_LONGEST_NAME} characters", _FORM)
    if name.startswith("DGRID_"):
        raise Mistake(
            "{} is not for you to set", "dgrid itself sets the variables that begin with DGRID_; rename it", name
        )
    return name
