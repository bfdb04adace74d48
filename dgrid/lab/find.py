"""The labs on this machine, found by their labels alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dgrid.errors import LabError
from dgrid.lab.machine import Machine
from dgrid.lab.shape import FRONT, HOST_LABEL, LABEL, SHAPE_LABEL, Shape, shape_from_text
from dgrid.record import record

if TYPE_CHECKING:
    from docker import APIClient


@record
class LabHost:
    """One host of a lab. ``state`` is the engine's word (running, exited, created); ``address`` None if it has none."""

    host: str
    container_id: str
    state: str
    address: str | None


@record
class Lab:
    """A lab as it is now: ``shape.nodes`` are the nodes that it has."""

    shape: Shape
    hosts: tuple[LabHost, ...]

    def host(self, name: str) -> LabHost:
        """The host of that name. Raises LabError naming the hosts there are."""
        for each in self.hosts:
            if each.host == name:
                return each
        there = ", ".join(each.host for each in self.hosts)
        raise LabError(f"lab {self.shape.name} has no host {name!r}; it has {there}")


def lab_names(client: APIClient) -> tuple[str, ...]:
    """The names of all labs of which anything is left, half-made ones too, sorted."""
    containers = client.containers(all=True, filters={"label": LABEL})
    networks = client.networks(filters={"label": LABEL})
    volumes = client.volumes(filters={"label": LABEL})["Volumes"] or []
    return tuple(sorted({one["Labels"][LABEL] for one in (*containers, *networks, *volumes)}))


def find_lab(machine: Machine, name: str) -> Lab:
    """The lab of that name. Raises LabError naming those that exist, or saying how to start one."""
    client = machine.client()
    hosts = client.containers(all=True, filters={"label": f"{LABEL}={name}"})
    if not hosts:
        raise LabError(_no_lab(name, lab_names(client)))
    by_name = {one["Labels"][HOST_LABEL]: one for one in hosts}
    # Every host's label has the shape at its own start; nodes may have come and gone since.
    started = shape_from_text(by_name.get(FRONT, hosts[0])["Labels"][SHAPE_LABEL])
    numbers = tuple(sorted(int(host.removeprefix("node")) for host in by_name if host != FRONT))
    shape = replace(started, node_count=max(1, len(numbers)), numbers=numbers)
    return Lab(shape, tuple(_host(by_name[host]) for host in shape.hosts if host in by_name))


def _host(container: dict) -> LabHost:  # type: ignore[type-arg]  # the engine's JSON
    networks = container.get("NetworkSettings", {}).get("Networks", {}).values()
    address = next((network["IPAddress"] for network in networks if network.get("IPAddress")), None)
    return LabHost(container["Labels"][HOST_LABEL], container["Id"], container["State"], address)


def _no_lab(name: str, others: tuple[str, ...]) -> str:
    if name in others:
        return f"lab {name} is half made; remove what is left of it with: dgrid lab down --name {name}"
    if others:
        return f"there is no lab {name}; there are: {', '.join(others)}"
    return f"there is no lab {name}, nor any other; start one with: dgrid lab up --name {name}"
