"""Characters that no string of a definition may have, and those that only some may."""

from __future__ import annotations

import re
import unicodedata

from dgrid.plan.findings import Findings
from dgrid.plan.jsonplaces import Path
from dgrid.plan.mistake import Mistake

# NUL ends strings in the kernel; halves of surrogate pairs cannot be written as UTF-8.
_NEVER = re.compile("[\0\ud800-\udfff]")

# Control characters, and marks that hide or reorder text: https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
_HIDDEN = re.compile(
    "[\0-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)

# Text that goes to programs in the container as it is; there, a new line or a mark may be meant.
_FREE = frozenset(
    {
        ("containers", "run_cmd"),
        ("containers", "entrypoint"),
        ("containers", "environment_variables"),
        ("containers", "ready", "command"),
        ("containers", "ready", "log"),
    }
)


def check_characters(text: str, free: bool = False) -> None:
    r"""Raise a Mistake for ``"wor\u202eker"``; with ``free`` only for what no string may have at all."""
    match = (_NEVER if free else _HIDDEN).search(text)
    if match is not None:
        code = ord(match[0])
        name = unicodedata.name(match[0], "a control character")
        if 0xD800 <= code < 0xE000:
            name = "one half of a pair, or a byte that is not UTF-8"
        where = f"character {match.start() + 1}" if text != match[0] else "it"
        raise Mistake(f"{where} is U+{code:04X} ({name})", "remove it")


def check_all_characters(data: object, findings: Findings, path: Path = ()) -> None:
    """Note every string of ``data`` with a character it may not have. Keys are left to the checks for names."""
    if isinstance(data, dict):
        for key, value in data.items():
            check_all_characters(value, findings, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            check_all_characters(value, findings, (*path, index))
    elif isinstance(data, str) and findings.sound(path):
        keys = tuple(part for part in path if isinstance(part, str))
        free = keys in _FREE or keys[:2] == ("containers", "environment_variables")
        with findings.gather(path):
            check_characters(data, free)
