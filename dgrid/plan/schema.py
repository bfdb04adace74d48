"""The JSON schema of the definition, and its complaints in plain words."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from dgrid.plan.conforms import conforms
from dgrid.plan.findings import Findings
from dgrid.plan.jsonplaces import Path
from dgrid.plan.keys import meant, nearest, unknown_key
from dgrid.plan.mistake import kind, quote
from dgrid.plan.wrongkind import property_schema, wrong_kind_remedy
from dgrid.record import record

if TYPE_CHECKING:
    from jsonschema import ValidationError

_MOST_ERRORS = 500
_KINDS = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}

# Left to the parsers of the single values, which say what is wrong in better words: the patterns are there for editors.
_NOT_CHECKED = ("pattern", "uniqueItems", "propertyNames")


def schema_text() -> str:
    """The schema as the package carries it, for ``dgrid schema``."""
    text = pkgutil.get_data("dgrid.schemas", "dockerdef.schema.json")
    assert text is not None  # it is a part of the package
    return text.decode()


def check_schema(data: object, findings: Findings) -> None:
    """Note everything in ``data`` that the schema forbids."""
    schema = json.loads(schema_text())
    if conforms(data, schema, _NOT_CHECKED):
        return

    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    validator_class = extend(  # type: ignore[no-untyped-call]  # its stubs say nothing
        Draft202012Validator, dict.fromkeys(_NOT_CHECKED, _nothing)
    )
    for error in islice(validator_class(schema).iter_errors(data), _MOST_ERRORS):
        path = tuple(error.absolute_path)
        if findings.sound(path):
            _note(_Complaint(findings, path, error, property_schema(schema, path), schema))


@record
class _Complaint:
    """One error of the validator. ``about`` is the part of the schema that describes ``path``."""

    findings: Findings
    path: Path
    error: ValidationError
    about: Mapping[str, Any]
    schema: Mapping[str, Any]

    @property
    def instance(self) -> Any:
        """The value that is wrong, of any kind."""
        return self.error.instance

    def elsewhere(self, inside: str) -> Mapping[str, Any]:
        """The keys of a container, seen from the top level, and the other way round; else none."""
        top = self.schema["properties"]
        within = self.schema["$defs"]["container"]["properties"]
        return within if inside == "" else top if inside == "container" else {}

    @property
    def rule(self) -> Any:
        """What the schema demands: a bound, the kinds or values that are allowed, the keys that must be there."""
        return self.error.validator_value

    def add(self, what: str, remedy: str | None = None) -> None:
        """Note it as a problem of the value itself."""
        self.findings.add(self.path, what, remedy)


def _nothing(*_: object) -> Iterator[ValidationError]:
    return iter(())


def _note(complaint: _Complaint) -> None:
    if complaint.error.validator is None:
        # Versions of jsonschema differ in whether the path of a "false" ends in the key that is too many.
        path = complaint.path[: complaint.path.index("ready") + 1]
        complaint.findings.add(path, "there must be exactly one of tcp, command and log", "remove the others")
        return
    _NOTES[str(complaint.error.validator)](complaint)


def _unknown(complaint: _Complaint) -> None:
    path, known = complaint.path, complaint.about["properties"]
    inside = "container" if len(path) == 2 else str(path[-1]) if path else ""
    for key in complaint.instance:
        if key not in known:
            complaint.findings.add(
                (*path, key), *unknown_key(key, known, inside, complaint.elsewhere(inside)), at_key=True
            )


def _missing(complaint: _Complaint) -> None:
    path, known = complaint.path, complaint.about["properties"]
    if path and path[-1] == "ready":
        complaint.add("it does not say when the container is ready", "give one of tcp, command and log")
        return
    for key in complaint.rule:
        if key in complaint.instance:
            continue
        mistyped = (name for name in complaint.instance if name not in known)
        if any(meant(name, known) == key for name in mistyped):
            complaint.findings.break_at((*path, key))
            continue
        remedy = f'add for example "{key}": {_compact(known[key]["examples"][0])}'
        complaint.findings.add(path, f'"{key}" is missing', remedy, breaks=(*path, key))


def _type(complaint: _Complaint) -> None:
    wanted = complaint.rule
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if len(names) > 1 and "^" not in str(complaint.about.get("pattern", "^")):
        names.remove("string")  # it is there for "${NAME}" only
    words = " or ".join(_KINDS[name] for name in names)
    if complaint.path[-1:] == ("scale",):
        words = 'a whole number, "per_node" or "per_slot"'
    if complaint.path == ("ssh",):
        words = 'true, false or {"port": 2222}'
        complaint.add(f"{kind(complaint.instance)} where {words} is meant", _example(complaint))
        return
    remedy = wrong_kind_remedy(complaint.findings, complaint.path, complaint.instance, names)
    complaint.add(f"{kind(complaint.instance)} where {words} is meant", remedy or _example(complaint))


def _enum(complaint: _Complaint) -> None:
    values, instance = complaint.rule, complaint.instance
    written = complaint.findings.shown(complaint.path) if isinstance(instance, str) else kind(instance)
    if True in values:
        complaint.add(f"{written} where true or false is meant", 'write true or false, or "True" or "False"')
        return
    near = nearest(instance, values) if isinstance(instance, str) else None
    choices = ", ".join(quote(choice) for choice in values)
    complaint.add(
        f"{written} is not known here",
        f"did you mean {quote(near)}? The values are {choices}" if near else f"write one of {choices}",
    )


def _bound(complaint: _Complaint) -> None:
    bound = f"{complaint.rule:,}"
    words = {
        "minimum": f"less than {bound}, the least that is allowed",
        "maximum": f"more than {bound}, the most that is allowed",
        "exclusiveMinimum": f"not more than {bound}",
    }
    complaint.add(f"the number is {words[str(complaint.error.validator)]}", _example(complaint))


def _length(complaint: _Complaint) -> None:
    bound = complaint.rule
    if complaint.error.validator in ("minItems", "minLength"):
        complaint.add("it is empty", _example(complaint))
    elif complaint.error.validator == "maxItems":
        complaint.add(f"the list has {len(complaint.instance):,} entries, {bound:,} are the most")
    else:
        complaint.add(f"it is longer than {bound} characters", "choose a shorter one")


def _example(complaint: _Complaint) -> str | None:
    examples = complaint.about.get("examples")
    return f"write for example {_compact(examples[0])}" if examples else None


def _compact(example: object) -> str:
    text = json.dumps(example)
    return text if len(text) < 120 else '[{"name": "head", "image": "python:3.12", "interactive": true}]'


_NOTES: Mapping[str, Callable[[_Complaint], None]] = {
    "additionalProperties": _unknown,
    "required": _missing,
    "type": _type,
    "enum": _enum,
    "minimum": _bound,
    "maximum": _bound,
    "exclusiveMinimum": _bound,
    "minItems": _length,
    "maxItems": _length,
    "minLength": _length,
    "maxLength": _length,
}
