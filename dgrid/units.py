"""Sizes and times as people write them, to bytes and seconds, and back."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)(?:i?b)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[smhd]?)", re.IGNORECASE | re.ASCII)
_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


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


def parse_duration(text: str) -> float:
    """``parse_duration("1:30:00") == 5400``: seconds, from a number with one of the units s, m, h, d, or from a clock.

    A clock is [[days-]hours:]minutes:seconds, as batch systems write it. A number alone is seconds.
    Raises ValueError for anything else.
    """
    number, clock = _DURATION.fullmatch(text.strip()), _CLOCK.fullmatch(text.strip())
    if number is not None:
        return float(number["number"]) * _SECONDS[number["unit"].lower()]
    if clock is None or (clock["days"] is not None and clock["hours"] is None):
        raise ValueError(f'{text!r} is no time; write for example "30s", "5m" or "1:00:00"')
    days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def format_duration(seconds: float) -> str:
    """``format_duration(90) == "1 min 30 s"``; from an hour on ``"1:00:00"``. Rounded to whole seconds, at least 0."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"
