"""Puts the figures of a run of the harness into docs/reliability.md: ``report.py chaos.json``.

They go between ``<!-- NAME -->`` and ``<!-- end of NAME -->``; NAME is "random" or "exhaustive", by what the file has.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from figures import by_blow, summary

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def section(report: dict[str, Any]) -> tuple[str, str]:
    """The name of a report's place, and its text."""
    verdicts = report["verdicts"]
    speed = f"{report['minutes']:g} minutes"
    if "seed" in report:
        chosen = f" KIND={','.join(report['kinds'])}" if report["kinds"] else ""
        command = f"`make chaos N={len(verdicts)} SEED={report['seed']}{chosen}`, {speed}:"
        return "random", "\n\n".join([command, _listed(summary(verdicts)), by_blow(verdicts)])
    command = f"`make chaos WHAT=exhaustive` (calls: {report['calls']}, every {report['every']}), {speed}:"
    # These are all there are, and no sample: a bound from it would mean nothing.
    lines = [line for line in _listed(summary(verdicts)).split("\n") if not line.startswith("* leak rate")]
    return "exhaustive", "\n".join([f"{command}\n", *lines])


def put_into(page: str, name: str, text: str) -> str:
    """The page with another text in a place. Raises ValueError if it has no such place."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    if begin not in page or end not in page:
        raise ValueError(f"there is no place {name}")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{text}\n{end}{rest.partition(end)[2]}"


def _listed(text: str) -> str:
    """The lines before a table as a list."""
    lines, _, table = text.partition("\n\n")
    kept = [f"* {line}" for line in lines.split("\n")]
    return "\n".join(kept) + "\n\n" + table


def main() -> None:
    """Write the page again with the reports of the command line."""
    for name in sys.argv[1:]:
        page = put_into(PAGE.read_text(), *section(json.loads(Path(name).read_text())))
        PAGE.write_text(page)


if __name__ == "__main__":
    main()
