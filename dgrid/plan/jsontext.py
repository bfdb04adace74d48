"""Bytes to data: a strict reader of JSON that says in plain words what is wrong with the bytes."""

from __future__ import annotations

import json
import math
import re

from dgrid.plan.jsonguess import guess_cause
from dgrid.plan.mistake import Mistake
from dgrid.record import record

LONGEST_BYTES = 1024 * 1024
"""The largest definition that is read: 1 MiB, some 5,000 containers' worth."""

DEEPEST = 20
"""How deep lists and objects may nest. A right definition needs five levels."""

MOST_VALUES = 20_000
"""How many values a definition may hold in all. Checking them takes most of a second; many instances need no more."""

LONGEST_NUMBER = 20
"""How many characters a number may have. Python itself refuses 4,301 digits, most readers of JSON far fewer."""

_SHAPE = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[\[\]{},]', re.DOTALL)
_UTF16_32 = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_MAGIC = {
    b"\x1f\x8b": "gzip data",
    b"PK\x03\x04": "a zip archive",
    b"\x7fELF": "a program",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF document",
}
_WRONG_FILE = "is it the right file?"


class NotJson(Mistake):  # the user's mistake, as well
    """The bytes are no JSON. ``offset`` is the character that is wrong, None if the whole file is."""

    def __init__(self, offset: int | None, what: str, remedy: str | None = None) -> None:
        super().__init__(what, remedy)
        self.offset = offset


@record
class Document:
    """``data`` as JSON has it. ``suspicious``: the text holds repeated keys, or numbers that JSON does not have."""

    text: str
    data: object
    suspicious: bool


def decode(content: bytes) -> str:
    r"""``decode(b"\xef\xbb\xbf{}") == "{}"``: UTF-8, with or without its mark. Raises NotJson for all else."""
    if len(content) > LONGEST_BYTES:
        raise NotJson(None, f"the file is larger than {LONGEST_BYTES // 1024} KiB", _WRONG_FILE)
    if not content.strip():
        raise NotJson(None, "the file is empty", 'a definition is an object: {"containers": [...]}')
    for magic, name in _MAGIC.items():
        if content.startswith(magic):
            raise NotJson(None, f"the file is {name}, not text", _WRONG_FILE)
    _refuse_wide(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(content, error.start) from None
    if "\0" in text:
        raise NotJson(text.index("\0"), "the file is binary: it holds NUL bytes", _WRONG_FILE)
    if not text.strip():
        raise NotJson(None, "the file is empty", 'a definition is an object: {"containers": [...]}')
    return text


def _refuse_wide(content: bytes) -> None:
    marked = next((name for mark, name in _UTF16_32.items() if content.startswith(mark)), None)
    guessed = json.detect_encoding(content[:4])
    if marked is None and not guessed.startswith("utf-8") and _reads_as_json(content, guessed):
        marked = guessed[:6].upper()
    if marked is not None:
        remedy = f"save it as UTF-8, as with: iconv -f {marked} -t UTF-8 OLD > NEW"
        raise NotJson(None, f"the file is encoded in {marked}", remedy)


def _reads_as_json(content: bytes, encoding: str) -> bool:
    try:
        return content.decode(encoding).lstrip().startswith(("{", "["))
    except UnicodeDecodeError:
        return False


def _not_utf8(content: bytes, start: int) -> NotJson:
    if b"\0" in content:
        return NotJson(None, "the file is binary: it holds NUL bytes", _WRONG_FILE)
    offset = len(content[:start].decode("utf-8-sig"))
    what = f"the byte 0x{content[start]:02X} is not UTF-8"
    return NotJson(offset, what, "save the file as UTF-8, as with: iconv -f ISO-8859-1 -t UTF-8 OLD > NEW")


def load(text: str) -> Document:
    """``load('{"a": 1}').data == {"a": 1}``. Raises NotJson with the place and the likely cause.

    Of a repeated key the last value counts; numbers that JSON does not have (NaN, 1e999, 30 digits) read as None.
    The document is marked as suspicious then: ``dgrid.plan.jsonplaces`` finds where.
    """
    _refuse_misshapen(text)
    suspicious: list[str] = []

    def from_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
        entry = dict(pairs)
        if len(entry) != len(pairs):
            suspicious.append("repeated")
        return entry

    def number(literal: str) -> object:
        value = read_number(literal)
        if value is None:
            suspicious.append("number")
        return value

    decoder = json.JSONDecoder(
        object_pairs_hook=from_pairs, parse_constant=number, parse_int=number, parse_float=number
    )
    try:
        data = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(*guess_cause(text, error.msg, error.pos)) from None
    return Document(text, data, bool(suspicious))


def read_number(literal: str) -> int | float | None:
    """``read_number("12") == 12``; None for NaN, the infinities, and numbers of more than 20 characters."""
    if len(literal) > LONGEST_NUMBER:
        return None
    if literal.lstrip("-").isdigit():
        return int(literal)
    value = float(literal)
    return value if math.isfinite(value) else None


def _refuse_misshapen(text: str) -> None:
    depth, values = 0, 0
    for match in _SHAPE.finditer(text):
        token = match[0]
        if token in ("[", "{"):
            depth, values = depth + 1, values + 1
        elif token in ("]", "}"):
            depth -= 1
        elif token == ",":
            values += 1
        if depth > DEEPEST:
            raise NotJson(match.start(), f"lists and objects nest more than {DEEPEST} deep here", _WRONG_FILE)
        if values > MOST_VALUES:
            raise NotJson(match.start(), f"the file holds more than {MOST_VALUES:,} values", _WRONG_FILE)
