"""Whether a value keeps a JSON schema, without loading jsonschema, which costs every start 40 ms.

That is what tells mistakes: here a "no" may as well mean that a keyword is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

_Schema = Mapping[str, Any]

_SAY_NOTHING = frozenset({"$schema", "$defs", "title", "description", "default", "examples", "then", "else"})
_SURE = {"required", "type"}
"""Keywords of which a "no" is one."""

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: not isinstance(value, bool) and (isinstance(value, int) or _is_whole(value)),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}


def conforms(value: object, schema: Mapping[str, Any], not_checked: Collection[str] = ()) -> bool:
    """``conforms(2, {"type": "integer", "minimum": 1})`` is true.

    What is true, is so by jsonschema (draft 2020-12), too. ``not_checked`` are keywords to be passed over.
    """
    return _Rules(schema, frozenset(not_checked)).keeps(value, schema)


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


class _Rules:
    def __init__(self, root: _Schema, not_checked: frozenset[str]) -> None:
        self._root = root
        self._passed_over = _SAY_NOTHING | not_checked

    def keeps(self, value: Any, schema: _Schema | bool) -> bool:
        if isinstance(schema, bool):
            return schema
        return all(
            keyword in self._passed_over or (keyword in _CHECKS and _CHECKS[keyword](self, value, schema))
            for keyword in schema
        )

    def type(self, value: Any, schema: _Schema) -> bool:
        names = schema["type"]
        return any(_KINDS[name](value) for name in ([names] if isinstance(names, str) else names))

    def enum(self, value: Any, schema: _Schema) -> bool:
        return any(type(value) is type(one) and value == one for one in schema["enum"])  # True == 1 in Python only

    def ref(self, value: Any, schema: _Schema) -> bool:
        start, *names = schema["$ref"].split("/")
        target: Any = self._root
        for name in names if start == "#" else ():
            target = target[name]
        return start == "#" and self.keeps(value, target)

    def required(self, value: Any, schema: _Schema) -> bool:
        return not isinstance(value, dict) or all(key in value for key in schema["required"])

    def properties(self, value: Any, schema: _Schema) -> bool:
        if not isinstance(value, dict):
            return True
        return all(self.keeps(value[key], inner) for key, inner in schema["properties"].items() if key in value)

    def additional(self, value: Any, schema: _Schema) -> bool:
        if not isinstance(value, dict):
            return True
        known = schema.get("properties", {})
        return all(
            self.keeps(inner, schema["additionalProperties"]) for key, inner in value.items() if key not in known
        )

    def items(self, value: Any, schema: _Schema) -> bool:
        return not isinstance(value, list) or all(self.keeps(inner, schema["items"]) for inner in value)

    def branch(self, value: Any, schema: _Schema) -> bool:
        if self.keeps(value, schema["if"]):
            return self.keeps(value, schema.get("then", True))
        # A "no" that may be none leaves both ways open.
        ways = ("else",) if schema["if"].keys() <= _SURE else ("then", "else")
        return all(self.keeps(value, schema.get(way, True)) for way in ways)


def _bound(keyword: str, kinds: type | tuple[type, ...], keeps: Callable[[Any, Any], bool]) -> Any:
    """The check of a keyword that bounds values of some kinds, and lets others pass."""

    def check(_rules: _Rules, value: Any, schema: _Schema) -> bool:
        return not isinstance(value, kinds) or isinstance(value, bool) or keeps(value, schema[keyword])

    return check


_CHECKS: Mapping[str, Callable[[_Rules, Any, _Schema], bool]] = {
    "type": _Rules.type,
    "enum": _Rules.enum,
    "$ref": _Rules.ref,
    "required": _Rules.required,
    "properties": _Rules.properties,
    "additionalProperties": _Rules.additional,
    "items": _Rules.items,
    "if": _Rules.branch,
    "minimum": _bound("minimum", (int, float), lambda value, rule: bool(value >= rule)),
    "maximum": _bound("maximum", (int, float), lambda value, rule: bool(value <= rule)),
    "exclusiveMinimum": _bound("exclusiveMinimum", (int, float), lambda value, rule: bool(value > rule)),
    "minItems": _bound("minItems", list, lambda value, rule: len(value) >= rule),
    "maxItems": _bound("maxItems", list, lambda value, rule: len(value) <= rule),
    "minLength": _bound("minLength", str, lambda value, rule: len(value) >= rule),
    "maxLength": _bound("maxLength", str, lambda value, rule: len(value) <= rule),
}
