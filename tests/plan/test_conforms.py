"""The quick look at a value and its schema says "yes" only where jsonschema does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from dgrid.plan.conforms import conforms
from dgrid.plan.schema import _NOT_CHECKED, schema_text

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(schema_text())
VALIDATOR = extend(Draft202012Validator, dict.fromkeys(_NOT_CHECKED, lambda *_: iter(())))(SCHEMA)
FILES = sorted((ROOT / "examples").rglob("*.json")) + sorted((ROOT / "tests" / "data").glob("*.json"))
CONTAINER = SCHEMA["$defs"]["container"]["properties"]
ODD = st.sampled_from(
    [None, True, False, 0, 1, 1.0, 2.5, -1, 10**30, float("nan"), "", "True", "x", "x" * 70, "${N}", [], [""], ["x"],
     [[]], {}, {"port": 2200}, {"port": 2200.0}, {"port": True}, {"tcp": 1}, {"log": "x"}, {"tcp": 1, "log": "x"},
     {"command": ["x"]}, {"command": ["x"], "log": ""}, {"timeout_s": 1}, {"A": "x"}, {"A": 1.5}, {"cpus": 0},
     {"cpus": 0.5, "memory": "4g"}, {"on": "head"}, {"on": "there"}]
)  # fmt: skip


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """Definitions with right values, and one or the other that is odd."""
    entry: dict[str, Any] = {"name": "head", "image": "a", "interactive": True}
    for key in draw(st.lists(st.sampled_from([*sorted(CONTAINER), "user"]), max_size=4, unique=True)):
        entry[key] = draw(st.sampled_from(CONTAINER[key]["examples"]) if key in CONTAINER else ODD)
    whole: dict[str, Any] = {"containers": [entry]}
    for at in draw(st.lists(st.sampled_from([entry, whole]), max_size=2)):
        known = CONTAINER if at is entry else SCHEMA["properties"]
        at[draw(st.sampled_from(sorted(known)))] = draw(ODD)
    return whole


@given(definitions())
@settings(max_examples=1500, deadline=None)
def test_what_it_lets_pass_jsonschema_lets_pass(definition: dict[str, Any]) -> None:
    """Else a mistake would not be told."""
    if conforms(definition, SCHEMA, _NOT_CHECKED):
        assert VALIDATOR.is_valid(definition)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_knows_right_files(file: Path) -> None:
    """Else jsonschema is loaded for nothing, 40 ms at each start."""
    definition = json.loads(file.read_text())
    assert conforms(definition, SCHEMA, _NOT_CHECKED) == VALIDATOR.is_valid(definition)


@pytest.mark.parametrize("key", [*SCHEMA["properties"], *CONTAINER])
def test_it_knows_the_examples_of_the_schema(key: str) -> None:
    """Every keyword of the schema is known to it."""
    known = CONTAINER if key in CONTAINER else SCHEMA["properties"]
    for example in known[key].get("examples", ()):
        if isinstance(example, str) and "${" in example:
            continue
        assert conforms(example, {**known[key], "$defs": SCHEMA["$defs"]}, _NOT_CHECKED), example


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (1, {"enum": [True]}),
        (True, {"type": "integer"}),
        (True, {"type": "number", "minimum": 0}),
        (float("nan"), {"minimum": 0}),
        ({"a": 1}, {"additionalProperties": False}),
        ([], {"minItems": 1}),
        ("ab", {"maxLength": 1}),
        ({}, {"if": {"required": ["a"]}, "else": {"required": ["b"]}}),
        ({"a": 1}, {"if": {"required": ["a"]}, "then": {"required": ["b"]}}),
        ("x", {"$ref": "https://example.org/schema"}),
        ("x", {"oneOf": [{"type": "string"}]}),
    ],
)
def test_it_says_no(value: object, schema: dict[str, Any]) -> None:
    """To what is wrong, and to what it does not know."""
    assert not conforms(value, schema)
