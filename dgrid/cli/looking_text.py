"""Containers of runs and what they use, as text and as data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from dgrid.plan.looking import Listed, age
from dgrid.plan.usage import Usage
from dgrid.report import table

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def ps_text(listed: Iterable[Listed], with_user: bool = False) -> list[str]:
    """A line for each container, under headings."""
    users = ("USER",) if with_user else ()
    rows = [
        (one.node, one.name, state(one), age(one.age_s), one.image, one.job or "-", one.session)
        + ((one.user,) if with_user else ())
        for one in listed
    ]
    return table(("NODE", "NAME", "STATE", "AGE", "IMAGE", "JOB", "SESSION", *users), rows)


def ps_json(listed: Iterable[Listed]) -> list[dict[str, Any]]:
    """The same as data; ``exit_code`` is null while a container has not ended."""
    return [
        {
            "node": one.node,
            "name": one.name,
            "container": one.container,
            "index": one.index,
            "role": one.role,
            "state": one.state,
            "exit_code": one.exit_code,
            "out_of_memory": one.out_of_memory,
            "age_s": round(one.age_s, 1),
            "image": one.image,
            "job": one.job,
            "session": one.session,
            "user": one.user,
            "id": one.container_id,
        }
        for one in listed
    ]


def state(one: Listed) -> str:
    """``running``, ``exited (3)``, ``exited (137, out of memory)``."""
    if one.exit_code is None:
        return one.state
    return f"{one.state} ({one.exit_code}{', out of memory' if one.out_of_memory else ''})"


def top_text(listed: Iterable[Listed], used: Mapping[str, Usage]) -> list[str]:
    """A line for each running container; "-" where its engine does not count."""
    headings = ("NODE", "NAME", "CPU", "MEMORY", "LIMIT", "READ", "WRITTEN", "RECEIVED", "SENT", "PROCESSES")
    return table(headings, (_usage_row(one, used.get(one.container_id)) for one in listed if one.is_running))


def top_json(listed: Iterable[Listed], used: Mapping[str, Usage]) -> list[dict[str, Any]]:
    """The same as data; null where an engine does not count."""
    rows = []
    for one in listed:
        usage = used.get(one.container_id)
        if one.is_running and usage is not None:
            counted = {key: value for key, value in asdict(usage.last).items() if key not in ("at_s", "cpu_s")}
            percent = None if usage.cpu_percent is None else round(usage.cpu_percent, 1)
            rows.append({"node": one.node, "name": one.name, "session": one.session, "cpu_percent": percent, **counted})
    return rows


def runs_text(listed: Iterable[Listed]) -> str:
    """What a table shows, above it: the runs and how many containers of them run."""
    found = tuple(listed)
    running = sum(one.is_running for one in found)
    sessions = ", ".join(dict.fromkeys(one.session for one in found)) or "no run"
    return f"{sessions}: {running} of {len(found)} containers running"


def log_line(one: Listed, is_stderr: bool, line: bytes) -> bytes:
    """A line of a log as a line of JSON; bytes that are no UTF-8 become U+FFFD."""
    told = {
        "node": one.node,
        "name": one.name,
        "stream": "stderr" if is_stderr else "stdout",
        "line": line.decode(errors="replace"),
    }
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"


def size_text(size_bytes: int | None) -> str:
    """``size_text(1536) == "1.5 KiB"``; "-" for None."""
    if size_bytes is None:
        return "-"
    value, unit = float(size_bytes), 0
    while value >= 999.5 and unit + 1 < len(_UNITS):
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit and value < 99.95 else f"{value:.0f} {_UNITS[unit]}"


def _usage_row(one: Listed, usage: Usage | None) -> tuple[str, ...]:
    if usage is None:
        return (one.node, one.name, *("-",) * 8)
    last = usage.last
    return (
        one.node,
        one.name,
        "-" if usage.cpu_percent is None else f"{usage.cpu_percent:.1f}%",
        size_text(last.memory_bytes),
        size_text(last.limit_bytes),
        size_text(last.read_bytes),
        size_text(last.written_bytes),
        size_text(last.received_bytes),
        size_text(last.sent_bytes),
        "-" if last.processes is None else str(last.processes),
    )
