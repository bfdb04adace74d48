"""Findings as text, short where all is well, and as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from dgrid.plan.checkup import Finding, State, Subject
from dgrid.plan.folding import fold

FORMAT = 1
"""The number of the data's structure: it changes when a key goes or changes its meaning, not when one is added."""

_WIDTH = len("problem") + 2


def findings_text(subject: Subject, findings: tuple[Finding, ...], only_bad: bool) -> str:
    """A line for each finding, what to do below it, and a last line with the sum.

    ``only_bad`` leaves out what is in order.
    """
    shown = (one for one in findings if not only_bad or one.state is not State.OK)
    lines = [line for one in shown for line in _lines(one)]
    return "\n".join([*lines, *([""] if lines else []), _sum(subject, findings)]) + "\n"


def findings_data(subject: Subject, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """As data: ``["findings"][0]["state"]`` is "ok", "note" or "problem", ``["nodes"]`` is never folded."""
    return {
        "format": FORMAT,
        "state": _worst(findings).value,
        "source": subject.source,
        "batch_system": subject.batch_system,
        "job": subject.job_id,
        "nodes": [node.name for node in subject.nodes],
        "findings": [
            {
                "check": one.check,
                "state": one.state.value,
                "nodes": list(one.nodes),
                "what": one.what,
                "remedy": one.remedy,
            }
            for one in findings
        ],
    }


def _lines(one: Finding) -> Iterator[str]:
    who = f"{fold(one.nodes)}: " if one.nodes else ""
    yield f"{one.state.value:<{_WIDTH}}{who}{one.what}"
    if one.remedy is not None:
        yield f"{'':<{_WIDTH}}  -> {one.remedy}"


def _sum(subject: Subject, findings: tuple[Finding, ...]) -> str:
    found = Counter(one.state for one in findings)
    counts = [_count(found[state], state.value) for state in (State.PROBLEM, State.NOTE) if found[state]]
    return f"{_count(len(subject.nodes), 'node')}: {', '.join(counts) or 'all is well'}"


def _worst(findings: tuple[Finding, ...]) -> State:
    states = {one.state for one in findings}
    return next((state for state in (State.PROBLEM, State.NOTE) if state in states), State.OK)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
