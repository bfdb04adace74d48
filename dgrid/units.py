"""Sizes and times as people write them, to bytes and seconds, and back."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)(?:i?b)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def parse_size(text: str) -> int:
    """``parse_size("4g") == 4294967296``: bytes, from a number with one of the units b, k, m, g, t.

    Units are powers of 1024, as with ``docker run --memory``; "4gb" and "4GiB" mean the same as "4g".
    Raises ValueError for anything else.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'{text!r} is no size; write a number and one of b, k, m, g, t, as in "4g"')
    return int(float(match["number"]) * _FACTORS[match["unit"].lower()])


def format_size(size_bytes: int) -> str:
    """``format_size(4294967296) == "4g"``: the largest unit that divides without a remainder."""
    for unit in ("t", "g", "m", "k"):
        if size_bytes and size_bytes % _FACTORS[unit] == 0:
            return f"{size_bytes // _FACTORS[unit]}{unit}"
    return f"{size_bytes}b"
