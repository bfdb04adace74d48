"""Reading what the mail-relays job prints."""

from __future__ import annotations

import re


def read_tables(text: str) -> dict[tuple[str, str], int]:
    """What the printed tables say: relays by user and day."""
    found = {}
    for month, table in re.findall(r"in (\d{4}-\d\d), counted by \S+\n(.*?)(?:\n\n|\Z)", text, re.S):
        days, *rows = [line.split() for line in table.splitlines() if not line.startswith(("  ", "dgrid: "))]
        for user, *counts in rows:
            pairs = zip(days[1:], counts, strict=True)
            found |= {(user, f"{month}-{day}"): int(count) for day, count in pairs if count != "."}
    return found
