"""What was found to be wrong in one definition, gathered until all of it can be told at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dgrid.errors import Problem
from dgrid.plan.jsonplaces import Path, find_places, line_and_column
from dgrid.plan.jsontext import Document
from dgrid.plan.mistake import Mistake, escape, quote
from dgrid.record import record

MOST_SHOWN = 50
"""How many problems of a file are told; more than that has one cause, most likely."""

_ENOUGH = 200

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")


@record
class _Found:
    path: Path
    what: str
    remedy: str | None
    at_key: bool


class EnoughFound(Exception):  # not an error, but the end of the search
    """So much is wrong that looking further is a waste of the user's time."""


class Findings:
    """Problems by path, and which values are broken, so that later checks leave them alone.

    ``document`` is the file as written: what messages show of a value is always taken from there, never from the
    value after ``${NAME}`` was replaced.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: dict[_Found, None] = {}
        self._broken: set[Path] = set()
        self._touched: set[Path] = set()
        self._replaced: set[Path] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(
        self,
        path: Path,
        what: str,
        remedy: str | None = None,
        *,
        at_key: bool = False,
        breaks: Path | None = None,
    ) -> None:
        """Note that ``path`` is wrong. ``breaks`` is the path not to be looked at any more, None for ``path``.

        ``at_key`` points at the key rather than at its value. Raises EnoughFound after 200 problems.
        """
        self._found[_Found(path, what, remedy, at_key)] = None
        self.break_at(path if breaks is None else breaks)
        if len(self._found) >= _ENOUGH:
            raise EnoughFound

    @contextmanager
    def gather(self, path: Path) -> Iterator[None]:
        """Note the Mistake raised inside as one about the value at ``path``, and go on.

        Where a ``${NAME}`` was replaced in it, the message shows what the file says.
        """
        try:
            yield
        except Mistake as mistake:
            shown = self._harmless(path) if path in self._replaced else mistake.shown
            self.add(path, mistake.what.replace("{}", quote(shown)), mistake.remedy)

    def _harmless(self, path: Path) -> str:
        written = self.written(path)
        text = written if isinstance(written, str) else ""
        return text.partition("=")[0] if "environment_variables" in path else text

    def note_replaced(self, path: Path) -> None:
        """Note that the string at ``path`` is not what the file says, since a ``${NAME}`` was replaced."""
        self._replaced.add(path)

    def break_at(self, path: Path) -> None:
        """Have later checks leave ``path`` alone."""
        self._broken.add(path)
        self._touched.update(path[:length] for length in range(len(path) + 1))

    def sound(self, path: Path) -> bool:
        """Whether neither ``path`` nor anything around it is broken; something inside of it may be."""
        return not any(path[:length] in self._broken for length in range(len(path) + 1))

    def whole(self, path: Path) -> bool:
        """Whether nothing at, around or inside of ``path`` is broken."""
        return path not in self._touched and self.sound(path)

    def written(self, path: Path) -> object:
        """What the file has at ``path``, None if nothing."""
        value = self._document.data
        for part in path:
            try:
                value = value[part]  # type: ignore[index]  # the wrong kind is a TypeError, handled below
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def shown(self, path: Path) -> str:
        """What the file has at ``path``, quoted for a message. Only for values that are no secrets."""
        value = self.written(path)
        return quote(value) if isinstance(value, str) else escape(str(value))

    def problems(self, file: str) -> tuple[Problem, ...]:
        """All that was found, in file order; slow, since it looks for the places in the text."""
        places = find_places(self._document.text)
        by_offset = sorted(
            ((places.offset(found.path, found.at_key), found) for found in self._found), key=lambda pair: pair[0]
        )
        problems = [
            Problem(
                file,
                found.what,
                found.remedy,
                *line_and_column(self._document.text, offset),
                path_text(found.path) or None,
            )
            for offset, found in by_offset[:MOST_SHOWN]
        ]
        if len(by_offset) > MOST_SHOWN:
            problems.append(Problem(file, f"there are more problems than these {MOST_SHOWN}"))
        return tuple(problems)


def path_text(path: Path) -> str:
    """``path_text(("containers", 2, "image")) == "containers[2].image"``; odd keys stand in quotes: ``a["b c"]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{quote(part)}]"
    return text


Entry = Mapping[str, object]
"""An object of the definition."""
