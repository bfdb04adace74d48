"""How a run ended on its nodes: when its last trace went, what is left, and what is missing that was there before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents import Agent
from lanes import Lane

_RUN_LIMIT_S = 60.0
_LISTS_S = 4.0


@dataclass(frozen=True, slots=True)
class Ending:
    """``code`` is the launcher's, negative a signal's. Times are of the machine's monotonic clock.

    At ``clear_at`` the last trace was gone, at ``bare_at`` the last but the leashes' own processes.
    ``trials`` are all whose traces were seen. The lists are of traces, each with its node; see node/observer.py.
    """

    code: int | None
    ended_at: float
    clear_at: float
    bare_at: float
    stderr: Sequence[str]
    trials: frozenset[str]
    left: Sequence[str]
    missing: Sequence[str]
    steady: Sequence[str]
    records: Sequence[str]


def ending(lane: Lane, run: str, limit_s: float) -> Ending:
    """Wait for a run's end and for its last trace, so long at most; then compare the nodes with what they were."""
    end = lane.head.ask("ended", run=run, timeout_s=_RUN_LIMIT_S)
    if not end["over"]:
        lane.head.ask("signal_run", run=run, name="KILL")
    looks = settled(lane.agents, limit_s)
    clear_at, found = _compared(lane, max(look["clear_at"] for look in looks))
    lane.head.ask("forget", run=run)
    return Ending(
        code=end["code"],
        ended_at=end["at"] or clear_at,
        clear_at=clear_at,
        bare_at=max(look["bare_at"] for look in looks),
        stderr=end["stderr"],
        trials=frozenset(name for look in looks for name in look["trials"]),
        left=found["left"] + ([] if end["over"] else [f"{lane.head.node}: dgrid, for {_RUN_LIMIT_S:g} s"]),
        missing=found["missing"],
        steady=found["steady"],
        records=found["records"],
    )


def settled(agents: Sequence[Agent], limit_s: float) -> list[dict[str, Any]]:
    """Wait on all these nodes at once until no trace is there."""
    orders = [agent.order("settle", timeout_s=limit_s) for agent in agents]
    return [order.result(limit_s + 60) for order in orders]


def _compared(lane: Lane, clear_at: float) -> tuple[float, dict[str, list[str]]]:
    """The full comparison; what only the engine's lists still have gets some seconds, which count."""
    deadline = time.monotonic() + _LISTS_S
    records: list[str] = []
    while True:
        found = dict(zip(lane.agents, lane.both("differences"), strict=True))
        lines = {
            key: [f"{agent.node}: {line}" for agent, one in found.items() for line in one[key]]
            for key in ("left", "missing", "steady", "records")
        }
        records += lines.pop("records")
        if not any(lines.values()) or time.monotonic() > deadline:
            return clear_at, {**lines, "records": records}
        time.sleep(0.3)
        clear_at = time.monotonic()
