"""The page about images says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from dgrid.images.finding import RULES

ROOT = Path(__file__).parents[2]


def test_the_page_has_every_rule():
    """What `dgrid image check` names in brackets is explained, and nothing else."""
    page = (ROOT / "docs" / "images.md").read_text()
    table = page.split("| rule |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == list(RULES)
