"""Reading the keys of one object of the definition, going on after each that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from dgrid.plan.findings import Entry, Findings
from dgrid.plan.jsonplaces import Path

T = TypeVar("T")
D = TypeVar("D")


class Reader:
    """The object at ``path`` of a definition.

    ``Reader(findings, (), {"name": "x"}).value("name", str, None) == "x"``. A value that is broken already, or turns
    out to be so now, reads as the default: what is made of it is thrown away, since there is a problem.
    """

    def __init__(self, findings: Findings, path: Path, entry: object) -> None:
        self.findings = findings
        self.path = path
        self._entry: Entry = entry if isinstance(entry, dict) else {}

    def __contains__(self, key: str) -> bool:
        return key in self._entry

    def __iter__(self) -> Iterator[str]:
        return iter(self._entry)

    def at(self, key: str) -> Path:
        """The path of ``key``."""
        return (*self.path, key)

    def raw(self, key: str) -> Any:
        """The value as JSON has it, None if it is not there or was found to be broken."""
        return self._entry.get(key) if self.findings.whole(self.at(key)) else None

    def inner(self, key: str) -> Reader:
        """The object under ``key``; an empty one if there is none."""
        return Reader(self.findings, self.at(key), self._entry.get(key))

    def value(self, key: str, convert: Callable[[Any], T], default: D) -> T | D:
        """What ``convert`` makes of the value of ``key``, or ``default``. A Mistake it raises is noted."""
        value = self.raw(key)
        if value is None:
            return default
        with self.findings.gather(self.at(key)):
            return convert(value)
        return default

    def each(self, key: str, convert: Callable[[Any], T]) -> list[tuple[Path, T]]:
        """The elements of the list of ``key`` that are right, each with its path."""
        value = self._entry.get(key)
        if not isinstance(value, list) or not self.findings.sound(self.at(key)):
            return []
        pairs = []
        for index, element in enumerate(value):
            path = (*self.at(key), index)
            if self.findings.whole(path):
                with self.findings.gather(path):
                    pairs.append((path, convert(element)))
        return pairs

    def refuse(self, key: str, what: str, remedy: str | None) -> None:
        """Note that ``key``, if it is there and not broken, has no place here."""
        if key in self and self.findings.whole(self.at(key)):
            self.findings.add(self.at(key), what, remedy, at_key=True)
