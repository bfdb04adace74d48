"""Values as text and as data: tables, messages of many nodes, plans."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from dgrid.plan.allocation import Allocation
from dgrid.plan.definition import Mount, NetworkMode
from dgrid.plan.docker_json import create_body, network_body
from dgrid.plan.folding import fold
from dgrid.plan.job_share import JobShare, cpu_list
from dgrid.plan.naming import network_name
from dgrid.plan.plan import Instance, Plan

__all__ = ["count", "fold", "gather", "plan_json", "plan_text", "table"]

HIDDEN = "***"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with columns as wide as their widest cell: ``table(["NODE"], [["n1"]]) == ["NODE", "n1"]``."""
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def gather(messages: Iterable[tuple[str, str]]) -> list[str]:
    """``gather([("n1", "no"), ("n2", "no")]) == ["n[1-2]: no"]``: (node, message) pairs, equal messages as one line.

    Messages are in the order in which each came first.
    """
    nodes: dict[str, list[str]] = {}
    for node, message in messages:
        nodes.setdefault(message, []).append(node)
    return [f"{fold(names)}: {message}" for message, names in nodes.items()]


def count(number: int, noun: str) -> str:
    """``count(1, "node") == "1 node"``, ``count(2, "node") == "2 nodes"``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def plan_text(plan: Plan) -> str:
    """The plan as a table with a line for each instance, the hostfile, the order of starting, and the warnings."""
    headings = ("NODE", "CONTAINER", "IMAGE", "NETWORK", "MOUNTS")
    rows = [_row(one) for one in _by_node(plan)]
    parts = [_summary(plan), "", *table(headings, rows), "", *_hostfile(plan), "", f"start order: {_order(plan)}"]
    return "\n".join([*parts, *(f"warning: {text}" for text in plan.warnings)]) + "\n"


def plan_json(plan: Plan, show_values: bool = False) -> Iterator[str]:
    """The plan as JSON, in pieces, with the very bodies that engines get: ``["instances"][0]["body"]["Image"]``.

    The values of the definition's environment variables are ``***`` unless ``show_values``: they may be secrets.
    Each instance is told of all others, so that the whole grows with the square of their number: hence the pieces.
    """
    encoder = json.JSONEncoder(indent=2, ensure_ascii=False)
    return encoder.iterencode(_plan_data(plan, _Each(lambda one: _instance_json(one, show_values), plan.instances)))


class _Each(list[Any]):
    """A list to the encoder, whose items are made one after the other, when it comes to them."""

    def __init__(self, make: Callable[[Any], Any], things: Iterable[Any]) -> None:
        super().__init__(things)
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return map(self._make, super().__iter__())


def _plan_data(plan: Plan, instances: list[Any]) -> dict[str, Any]:
    allocation = plan.allocation
    return {
        "session": plan.session,
        "job": allocation.job_id,
        "batch": _batch_json(allocation),
        "source": allocation.source,
        "nodes": [
            {"name": node.name, "slots": node.slots, "local": node.is_local, "job": _share_json(node.share)}
            for node in allocation.nodes
        ],
        "network": plan.network_mode.value,
        "networks": [{"node": network.node, "body": network_body(network)} for network in plan.networks],
        "instances": instances,
        "start_order": [list(level) for level in plan.start_order],
        "warnings": list(plan.warnings),
    }


def _share_json(share: JobShare | None) -> dict[str, Any] | None:
    """What of a node is the job's; null for what is not told, and outside a job."""
    if share is None:
        return None
    return {
        "gpus": None if share.gpus is None else list(share.gpus),
        "cpus": None if share.cpus is None else cpu_list(share.cpus),
        "cpu_count": share.cpu_count,
        "memory_bytes": share.memory_bytes,
    }


def _batch_json(allocation: Allocation) -> dict[str, Any] | None:
    """What the batch system told, and which variables it was taken from; None outside a job."""
    told = allocation.told
    if told is None:
        return None
    return {
        "system": allocation.batch_system,
        "name": told.name,
        "owner": told.owner,
        "submit_directory": told.submit_directory,
        "array_index": told.array_index,
        "reach": list(told.reach),
        "ended_by": allocation.ended_by,
        "leaves_s": allocation.leaves_s,
        "signals": told.signals,
        "taken": dict(told.taken),
        "remarks": list(told.remarks),
        "contradictions": list(told.contradictions),
    }


def _instance_json(one: Instance, show_values: bool) -> dict[str, Any]:
    body = create_body(one.request)
    if not show_values:
        body["Env"] = [_hide(pair, one) for pair in one.request.environment]
    return {
        "node": one.node.name,
        "container": one.container.name,
        "index": one.index,
        "name": one.name,
        "host": one.host,
        "create": one.request.name,
        "body": body,
        "files": [
            {"path": file.path, "mode": f"{file.mode:04o}", "text": HIDDEN if file.secret else _text(file.content)}
            for file in one.request.files
        ],
    }


def _hide(pair: tuple[str, str], one: Instance) -> str:
    name, value = pair
    return f"{name}={HIDDEN if (name, value) in one.container.environment else value}"


def _text(content: bytes | None) -> str | None:
    """A placed file's text; None for a directory."""
    return None if content is None else content.decode("utf-8", "replace")


def _by_node(plan: Plan) -> list[Instance]:
    rank = {node.name: number for number, node in enumerate(plan.allocation.nodes)}
    return sorted(plan.instances, key=lambda one: rank[one.node.name])


def _row(one: Instance) -> tuple[str, ...]:
    request = one.request
    mounts = ", ".join(_mount(mount) for mount in request.mounts)
    return one.node.name, one.name, request.image, request.network, mounts or "-"


def _mount(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}{':ro' if mount.read_only else ''}"


def _summary(plan: Plan) -> str:
    instances, used, nodes = len(plan.instances), len(plan.nodes), len(plan.allocation.nodes)
    networks = {
        NetworkMode.HOST: "the nodes' own network",
        NetworkMode.BRIDGE: f"a private bridge network, {network_name(plan.session)}",
        NetworkMode.OVERLAY: f"an overlay network, {network_name(plan.session)}",
    }
    return (
        f"{count(instances, 'container')} on {used} of {count(nodes, 'node')} "
        f"({plan.allocation.source}); network: {plan.network_mode.value}, {networks[plan.network_mode]}"
    )


def _hostfile(plan: Plan) -> list[str]:
    """Where the hostfile is, and what stands in it: the same in every container."""
    paths = dict.fromkeys(one.hostfile for one in plan.instances)
    content = next(file.content for file in plan.head.request.files if file.path == plan.head.hostfile)
    lines = (_text(content) or "").splitlines() or ["(no container has host_to_list)"]
    return [f"hostfile {' or '.join(paths)}:", *(f"  {line}" for line in lines)]


def _order(plan: Plan) -> str:
    levels = [*(", ".join(level) for level in plan.start_order), plan.head.name]
    return ", then ".join(levels)
