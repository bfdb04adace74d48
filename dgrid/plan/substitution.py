"""``${NAME}`` in the strings of a definition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from dgrid.plan.findings import Findings
from dgrid.plan.jsonplaces import Path
from dgrid.plan.mistake import Mistake

_REFERENCE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|(\$\{)")
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")

# A number that comes from the environment can only be written as a string in JSON: "scale": "${WORKERS}".
_NUMBERS = frozenset(
    {
        ("containers", "scale"),
        ("containers", "ports"),
        ("containers", "max_restarts"),
        ("containers", "stop_grace_s"),
        ("containers", "ready", "tcp"),
        ("containers", "ready", "timeout_s"),
        ("containers", "resources", "cpus"),
        ("containers", "resources", "gpus"),
        ("containers", "placement", "max_per_node"),
    }
)

# What a shell in the container may read: there, "${NAME:-x}" and "${list[@]}" are that shell's own.
_COMMANDS = frozenset({("containers", "run_cmd"), ("containers", "entrypoint"), ("containers", "ready", "command")})


def replace_names(text: str, environment: Mapping[str, str], in_command: bool = False) -> str:
    """``replace_names("${A}/$$b $c", {"A": "x"}) == "x/$b $c"``: only ``${NAME}`` and ``$$`` mean something.

    Other forms, such as ``${NAME:-x}``, are left alone in a command, where a shell may read them. Elsewhere they are a
    Mistake, as unknown names are everywhere. No message shows a value of ``environment``.
    """

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        if name is not None:
            if name not in environment:
                raise _unknown(name, environment)
            return environment[name]
        if match[0] == "$$":
            return "$"
        if in_command:
            return match[0]
        raise Mistake("only ${NAME} is replaced, and this is another form of it", "write $${ for a plain ${")

    return _REFERENCE.sub(replacement, text)


def _unknown(name: str, environment: Mapping[str, str]) -> Mistake:
    remedy = "set it before dgrid is called, or write $${" + name + "} to leave it as it is"
    near = get_close_matches(name, environment, 1, 0.8)
    if near:
        remedy = "did you mean ${" + near[0] + "}? Else " + remedy
    return Mistake("${" + name + "} is not set in dgrid's environment", remedy)


def replaced(data: object, environment: Mapping[str, str], findings: Findings, path: Path = ()) -> object:
    """``data`` with all strings replaced, as a copy. Keys stay as they are, as does ``$schema``.

    A string for one of the keys that take numbers becomes a number, if a ``${NAME}`` made it look like one.
    """
    if isinstance(data, dict):
        return {key: replaced(value, environment, findings, (*path, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [replaced(value, environment, findings, (*path, index)) for index, value in enumerate(data)]
    if not isinstance(data, str) or "$" not in data or path == ("$schema",):
        return data
    keys = tuple(part for part in path if isinstance(part, str))
    result = data
    with findings.gather(path, data):
        result = replace_names(data, environment, keys in _COMMANDS)
    if result != data and keys in _NUMBERS and _NUMBER.fullmatch(result):
        return float(result) if "." in result else int(result)
    return result
