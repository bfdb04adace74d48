"""Where in a text each JSON value stands. Slow, therefore used only once something was found to be wrong."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from dgrid.plan.jsontext import read_number
from dgrid.record import record

Path = tuple[str | int, ...]
"""``("containers", 2, "image")``: the way from the top of a document to a value."""

_TOKEN = re.compile(r'"(?:[^"\\]+|\\.)*+"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]+', re.DOTALL)
_NUMBER = re.compile(r"-?[0-9].*|NaN|-?Infinity")


@record
class Places:
    """Offsets of values and of the keys before them, by path.

    ``repeated`` has (path, offset, offset of the first) for each key that stands twice in its object;
    ``odd_numbers`` the path and offset of each number that JSON does not have. Of a repeated key, the other two
    know the last.
    """

    values: dict[Path, int] = field(default_factory=dict)
    keys: dict[Path, int] = field(default_factory=dict)
    repeated: list[tuple[Path, int, int]] = field(default_factory=list)
    odd_numbers: list[tuple[Path, int]] = field(default_factory=list)

    def offset(self, path: Path, at_key: bool = False) -> int:
        """Where ``path`` stands; for what is not there, where the nearest thing around it begins."""
        if at_key and path in self.keys:
            return self.keys[path]
        while path not in self.values:
            path = path[:-1]
        return self.values[path]


@dataclass(slots=True)
class _Open:
    """A list or object that the scan is inside of. ``at`` is the key or index of the value that comes next."""

    path: Path
    is_object: bool
    at: str | int | None = None
    keys: dict[str, int] = field(default_factory=dict)


def find_places(text: str) -> Places:
    """``find_places('{"a": [1]}').values == {(): 0, ("a",): 6, ("a", 0): 7}``, for a text that is JSON."""
    places = Places()
    opened: list[_Open] = []
    for match in _TOKEN.finditer(text):
        token, start = match[0], match.start()
        inside = opened[-1] if opened else None
        if token in ("]", "}"):
            opened.pop()
        elif token == ",":
            _next(inside)
        elif token == ":":
            continue
        elif inside is not None and inside.is_object and inside.at is None:
            _key(places, inside, json.loads(token), start)
        else:
            _value(places, opened, inside, token, start)
    return places


def _next(inside: _Open | None) -> None:
    if inside is not None:
        inside.at = inside.at + 1 if isinstance(inside.at, int) else None


def _key(places: Places, inside: _Open, key: str, start: int) -> None:
    path = (*inside.path, key)
    if key in inside.keys:
        places.repeated.append((path, start, inside.keys[key]))
    inside.keys.setdefault(key, start)
    inside.at = key
    places.keys[path] = start


def _value(places: Places, opened: list[_Open], inside: _Open | None, token: str, start: int) -> None:
    path: Path = () if inside is None or inside.at is None else (*inside.path, inside.at)
    places.values[path] = start
    if token in ("[", "{"):
        opened.append(_Open(path, token == "{", None if token == "{" else 0))
    elif _NUMBER.fullmatch(token) and read_number(token) is None:
        places.odd_numbers.append((path, start))


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    r"""``line_and_column("a\nbc", 3) == (2, 2)``: both count from 1, columns in characters."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
