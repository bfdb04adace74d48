"""What each host of a lab is doing."""

from __future__ import annotations

import json
from dataclasses import asdict

from dgrid.lab.execute import Command, Output, capture
from dgrid.lab.find import Lab, LabHost
from dgrid.lab.machine import Machine
from dgrid.lab.parallel import in_parallel
from dgrid.lab.shape import FRONT, Batch, NodeEngine
from dgrid.record import record

_LOAD = ". /etc/dgrid-lab.conf; . /usr/local/lib/dgrid-lab/common.sh; load_batch"


@record
class HostStatus:
    """``engine`` is ``docker 26.1.5`` or ``podman 5.4.2``, ``batch`` the batch system's word (idle, mix, down).

    None: it has none, or it did not answer.
    """

    host: str
    state: str
    engine: str | None
    batch: str | None
    address: str | None
    urls: tuple[tuple[str, str], ...] = ()
    """The batch system's web pages on this host: name and address."""


def status(machine: Machine, lab: Lab) -> tuple[HostStatus, ...]:
    """The state of each host, the frontend first; asks all of them at once."""
    states = dict(_batch_lines(machine, lab, "batch_states"))
    front = next((host.address for host in lab.hosts if host.host == FRONT), None)
    urls = tuple((name, url.replace("//front", f"//{front}")) for name, url in _batch_lines(machine, lab, "batch_urls"))
    engines = in_parallel(lambda host: _engine(machine, lab, host), lab.hosts)
    return tuple(
        HostStatus(
            host.host, host.state, engine, states.get(host.host), host.address, urls if host.host == FRONT else ()
        )
        for host, engine in zip(lab.hosts, engines, strict=True)
    )


def status_to_json(rows: tuple[HostStatus, ...]) -> str:
    """A list of objects with the fields of HostStatus."""
    return json.dumps([asdict(row) for row in rows], indent=2)


def status_to_text(rows: tuple[HostStatus, ...]) -> str:
    """A table with a heading; "-" is "has none". Below it the web pages, if there are any."""
    table: list[tuple[str, ...]] = [("HOST", "STATE", "ENGINE", "BATCH", "ADDRESS")]
    table += [(row.host, row.state, row.engine or "-", row.batch or "-", row.address or "-") for row in rows]
    pages: list[tuple[str, ...]] = [("PAGE", "URL"), *(url for row in rows for url in row.urls)]
    return "\n\n".join(_aligned(part) for part in (table, pages) if len(part) > 1)


def _aligned(table: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def _batch_lines(machine: Machine, lab: Lab, function: str) -> list[tuple[str, str]]:
    """What a function of the batch system's part of the image prints on the frontend: a name and the rest a line."""
    if lab.shape.batch is Batch.NONE or lab.hosts[0].host != FRONT:
        return []
    answer = _ask(machine, lab.hosts[0], ("bash", "-c", f"{_LOAD}; {function}"))
    lines = answer.stdout.decode().splitlines() if answer else []
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def _engine(machine: Machine, lab: Lab, host: LabHost) -> str | None:
    if host.host == FRONT:
        return None
    if lab.shape.engine is NodeEngine.DOCKER:
        answer = _ask(machine, host, ("docker", "version", "--format", "docker {{.Server.Version}}"))
    else:
        answer = _ask(machine, host, ("podman", "version", "--format", "podman {{.Client.Version}}"))
    return answer.stdout.decode().strip() if answer else None


def _ask(machine: Machine, host: LabHost, argv: tuple[str, ...]) -> Output | None:
    if host.state != "running":
        return None
    answer = capture(machine, host.container_id, Command("root", ("timeout", "5", *argv)))
    return answer if answer.returncode == 0 else None
