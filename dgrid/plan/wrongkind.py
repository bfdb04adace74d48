"""What to write where a value of the wrong kind stands: a string for a list, a number for a string, and the like."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence

from dgrid.plan.findings import Findings
from dgrid.plan.jsonplaces import Path
from dgrid.plan.mistake import escape

_COMMANDS = ("run_cmd", "entrypoint", "command")
_SECRET = "environment_variables"
_LONGEST = 300

# What only a shell understands; "$" is left out, because the command may be quite right without a shell.
_SHELL = re.compile(r"[|&;<>`*]|\$\(")


def wrong_kind_remedy(findings: Findings, path: Path, instance: object, names: Sequence[str]) -> str | None:
    """What to write in place of ``instance`` at ``path``, where the schema wants one of ``names``; None if unclear."""
    written = findings.written(path)
    if "array" in names and isinstance(written, str) and _SECRET not in path:
        if path[-1] in _COMMANDS:
            return command_remedy(written)
        return f"write a list: [{json.dumps(escape(written))}]" if len(written) <= _LONGEST else None
    if "string" in names and isinstance(instance, int | float) and path[-1] not in ("scale", "stop_signal"):
        return "put it in double quotes"
    if isinstance(written, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", written):
        return f"remove the quotes: {written}"
    return None


def command_remedy(command: str) -> str:
    """``command_remedy("python -u /job.py")`` is ``write a list of words: ["python", "-u", "/job.py"]``.

    A command with a pipe, a redirection or the like is given to a shell. One too long to show, or with quotes that do
    not close, gets the form alone.
    """
    try:
        words = shlex.split(command) if len(command) <= _LONGEST else []
    except ValueError:
        words = []
    if words and _SHELL.search(command):
        words = ["sh", "-c", command]
    text = json.dumps(words)
    if not words or len(text) > _LONGEST:
        return 'write a list of words: ["python", "-u", "/job.py"]'
    return f"write a list of words: {text}"


def property_schema(schema: Mapping[str, object], path: Path) -> Mapping[str, object]:
    """The part of ``schema`` that describes ``path``, with what it refers to merged in; empty if there is none."""
    node = _resolved(schema, schema)
    for part in path:
        inner = node.get("items") if isinstance(part, int) else _entry(node.get("properties"), part)
        node = _resolved(schema, inner)
    return node


def _entry(entries: object, key: str) -> object:
    return entries.get(key) if isinstance(entries, Mapping) else None


def _resolved(schema: Mapping[str, object], node: object) -> Mapping[str, object]:
    if not isinstance(node, Mapping):
        return {}
    reference = node.get("$ref")
    if not isinstance(reference, str):
        return node
    target = _entry(schema["$defs"], reference.rpartition("/")[2])
    return {**target, **node} if isinstance(target, Mapping) else node
