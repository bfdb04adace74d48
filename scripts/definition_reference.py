"""Writes docs/definition.md, the reference of the docker definition, from its schema.

python scripts/definition_reference.py > docs/definition.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dgrid.plan.keys import NEVER_GRANTED
from dgrid.plan.schema import schema_text

_KINDS = {"array": "list", "boolean": "boolean", "integer": "whole number", "number": "number"}

_INTRODUCTION = """\
# The docker definition

<!-- Made from the schema by scripts/definition_reference.py; change it there. -->

A definition is a JSON file that says which containers a run consists of. `dgrid validate FILE` tells everything that is
wrong with one, `dgrid schema` prints its JSON schema for editors. The smallest definition:

```json
{"containers": [{"name": "head", "image": "python:3.12", "interactive": true, "run_cmd": ["python", "-V"]}]}
```

Booleans may be written as `true` and `false` or as the strings `"True"` and `"False"`. Keys that are not
listed here are errors.

## Values from the environment

`${NAME}` in any string is replaced by the variable of that name from dgrid's environment, before values are
read; `$$` is a dollar. An unknown name is an error; `USER`, `LOGNAME` and `HOME` are your account's where the batch
system sets none. Other forms, such as `${NAME:-x}`, are left to a shell in the container in `run_cmd`, `entrypoint`
and `ready.command`, and errors elsewhere. Where a number is meant, a string that consists of a `${NAME}` with a
number in it will do: `"scale": "${WORKERS}"`.
"""

_LIMITS = """\
## What is never granted

These keys of other tools are errors, for a reason each:

| key | reason |
|---|---|
"""

_MOUNTS = """
`volumes` may not name the node's `/`, `/proc`, `/sys` or `/dev`, nor the engine's socket or a directory that
holds it (`/run`, `/run/docker.sock`, `/run/user/UID/podman`, ...), and nothing is mounted over the
container's `/`, `/proc`, `/sys` or `/dev`.
"""


def reference() -> str:
    """The whole page."""
    schema = json.loads(schema_text())
    parts = [_INTRODUCTION, *_section("Top level", schema, schema)]
    for name in ("container", "ready", "resources", "placement"):
        parts += _section(
            f"A container: `{name}`" if name != "container" else "A container", schema["$defs"][name], schema
        )
    rows = "".join(f"| `{key}` | {reason} |\n" for key, reason in NEVER_GRANTED.items())
    return "\n".join([*parts, _LIMITS + rows + _MOUNTS])


def _section(title: str, node: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {title}\n\n{node['description']}\n"
    yield "| key | value | meaning |\n|---|---|---|"
    for key, entry in node["properties"].items():
        yield f"| `{key}` | {_value(key, entry, node, schema)} | {_cell(_meaning(entry))} |"
    yield ""


def _value(key: str, entry: Mapping[str, Any], node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "$ref" in entry:
        name = entry["$ref"].rpartition("/")[2]
        entry = {**schema["$defs"][name], **entry}
        if name == "boolean":
            return "boolean"
    if "enum" in entry:
        return " or ".join(f"`{json.dumps(choice)}`" for choice in entry["enum"])
    kinds = [entry["type"]] if isinstance(entry["type"], str) else list(entry["type"])
    if "^" not in str(entry.get("pattern", "^")):
        kinds.remove("string")  # there for ${NAME} only
    text = " or ".join(_KINDS.get(kind, kind) for kind in kinds) + _bounds(entry)
    return f"{text}, required" if key in node.get("required", ()) else text


def _bounds(entry: Mapping[str, Any]) -> str:
    if "maximum" not in entry or "$ref" in entry:
        return ""
    least = entry.get("minimum", f"more than {entry.get('exclusiveMinimum')}")
    return f", {least} to {entry['maximum']:,}"


def _meaning(entry: Mapping[str, Any]) -> str:
    text = str(entry["description"])
    if "default" in entry:
        text += f" Default: `{json.dumps(entry['default'])}`."
    examples = " or ".join(f"`{json.dumps(example)}`" for example in entry["examples"])
    return text if len(examples) > 120 else f"{text} Example: {examples}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
