"""docs/doctor.md tells of every check and every known hole."""

from __future__ import annotations

import re
from pathlib import Path

from dgrid.plan.escapes import ESCAPES

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "doctor.md").read_text()
MAKERS = r"(?:Finding|_with_remedy|_different|_mixed|room_findings)"


def test_every_check_is_in_the_table_and_none_else() -> None:
    """The names are a contract: scripts read them in --json."""
    sources = "".join(file.read_text() for file in (ROOT / "dgrid" / "plan").glob("doctor*.py"))
    made = set(re.findall(rf'\b{MAKERS}\(\s*"([a-z.]+)"', sources))
    rows = [
        row.split("|")[1] for row in PAGE.partition("## What is looked at")[2].splitlines() if row.startswith("| `")
    ]
    table = rows[: next(index for index, cell in enumerate(rows) if "`format`" in cell)]
    assert made == {name for cell in table for name in re.findall(r"`([a-z.]+)`", cell)}


def test_every_known_hole_is_in_the_table() -> None:
    """With the versions that mend it."""
    rows = [row for row in PAGE.splitlines() if "CVE-" in row and row.startswith("| ")]
    assert len(rows) == len(ESCAPES)
    for escape, row in zip(ESCAPES, rows, strict=True):
        part, hole, mended = (cell.strip() for cell in row.strip("|").split("|"))
        assert (part.lower(), mended) == (escape.part, ", ".join(escape.fixed))
        assert escape.cves in hole and ("authorization plugin" in hole) == escape.with_authorization
