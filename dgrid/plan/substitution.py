"""``${NAME}`` in the strings of a definition."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dgrid.plan.findings import Findings
from dgrid.plan.jsonplaces import Path
from dgrid.plan.jsontext import LONGEST_BYTES
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


class Replacer:
    """Replaces ``${NAME}`` from ``environment``, for one definition.

    ``Replacer({"A": "x"}).replace("${A}/$$b $c") == "x/$b $c"``: only ``${NAME}`` and ``$$`` mean something. All that
    is put in may have 1 MiB together, so that a small file cannot fill the memory.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._room = LONGEST_BYTES

    def replace(self, text: str, in_command: bool = False) -> str:
        """``text`` with its names replaced. Raises Mistake for an unknown name; never shows a value.

        Other forms, such as ``${NAME:-x}``, are left alone ``in_command``, where a shell may read them. Elsewhere
        they are a Mistake.
        """
        return _REFERENCE.sub(lambda match: self._replacement(match, in_command), text)

    def _replacement(self, match: re.Match[str], in_command: bool) -> str:
        if match[0] == "$$":
            return "$"
        name = match[1]
        if name is None and in_command:
            return match[0]
        if name is None:
            raise Mistake("only ${NAME} is replaced, and this is another form of it", "write $${ for a plain ${")
        if name not in self._environment:
            raise _unknown(name, self._environment)
        value = self._environment[name]
        self._room -= len(value)
        if self._room < 0:
            raise Mistake("the values put in for ${NAME} have more than 1 MiB by now", "pass them in files")
        return value


def _unknown(name: str, environment: Mapping[str, str]) -> Mistake:
    remedy = "set it before dgrid is called, or write $${" + name + "} to leave it as it is"
    from difflib import get_close_matches

    near = get_close_matches(name, environment, 1, 0.8)
    if near:
        remedy = "did you mean ${" + near[0] + "}? Else " + remedy
    return Mistake("${" + name + "} is not set in dgrid's environment", remedy)


def replaced(data: object, replacer: Replacer, findings: Findings, path: Path = ()) -> object:
    """``data`` with all strings replaced, as a copy. Keys stay as they are, as does ``$schema``.

    A string for one of the keys that take numbers becomes a number, if a ``${NAME}`` made it look like one.
    """
    if isinstance(data, dict):
        return {key: replaced(value, replacer, findings, (*path, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [replaced(value, replacer, findings, (*path, index)) for index, value in enumerate(data)]
    if not isinstance(data, str) or "$" not in data or path == ("$schema",):
        return data
    keys = tuple(part for part in path if isinstance(part, str))
    result = data
    with findings.gather(path):
        result = replacer.replace(data, keys in _COMMANDS)
    if result != data:
        findings.note_replaced(path)
    if result != data and keys in _NUMBERS and _NUMBER.fullmatch(result):
        return float(result) if "." in result else int(result)
    return result
