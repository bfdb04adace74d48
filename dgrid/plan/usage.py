"""What a container uses, computed from two of its engine's samples. Docker Engine API, "Get container stats"."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dgrid.record import record


@record
class Sample:
    """Counters of one container at one moment (``at_s``, the node's clock); None where the engine does not count."""

    at_s: float
    cpu_s: float
    memory_bytes: int | None
    limit_bytes: int | None
    read_bytes: int | None
    written_bytes: int | None
    received_bytes: int | None
    sent_bytes: int | None
    processes: int | None


@record
class Usage:
    """``cpu_percent`` is 100 for one busy core, and None with one sample only; the rest is as of the last sample."""

    cpu_percent: float | None
    last: Sample


def sample(stats: Mapping[str, Any]) -> Sample:
    """A sample from the engine's answer. Raises ValueError or KeyError where it is none: the container has ended."""
    memory = stats.get("memory_stats") or {}
    networks = stats.get("networks")
    return Sample(
        at_s=datetime.fromisoformat(stats["read"]).timestamp(),
        cpu_s=stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        memory_bytes=_memory(memory),
        limit_bytes=memory.get("limit") or None,
        read_bytes=_blocks(stats, "read"),
        written_bytes=_blocks(stats, "write"),
        received_bytes=sum(one["rx_bytes"] for one in networks.values()) if networks else None,
        sent_bytes=sum(one["tx_bytes"] for one in networks.values()) if networks else None,
        processes=(stats.get("pids_stats") or {}).get("current"),
    )


def usage(before: Sample | None, after: Sample) -> Usage:
    """What was used between two samples."""
    if before is None or after.at_s <= before.at_s:
        return Usage(None, after)
    return Usage(max(0.0, after.cpu_s - before.cpu_s) / (after.at_s - before.at_s) * 100, after)


def _memory(memory: Mapping[str, Any]) -> int | None:
    """Without what the kernel can give back at once, as ``docker stats`` counts it."""
    if "usage" not in memory:
        return None
    detail = memory.get("stats") or {}
    inactive = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    used = int(memory["usage"])
    return used - inactive if inactive < used else used


def _blocks(stats: Mapping[str, Any], operation: str) -> int | None:
    rows = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    if rows is None:
        return None
    return sum(int(row["value"]) for row in rows if str(row["op"]).lower() == operation)
