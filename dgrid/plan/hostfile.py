"""The hostfile: what stands in it, and where in a container it is."""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable

from dgrid.plan.definition import Container, HostfileFormat

Listed = tuple[Container, str]
"""A container and the host name of one of its instances."""


def hostfile_path(container: Container, form: HostfileFormat) -> str:
    """``/dgrid/hostfile.json``; without the ending in the formats "list" and "mpi"."""
    name = "hostfile.json" if form is HostfileFormat.JSON else "hostfile"
    return posixpath.join(container.hostfile_dir, name)


def hostfile_text(form: HostfileFormat, instances: Iterable[Listed]) -> bytes:
    """The hostfile of a run, from all of its instances in order; those not listed by ``host_to_list`` are left out.

    JSON: ``{"workers": ["worker-1", "worker-2"]}``, each tag with its hosts. "list": one host a line, as often as
    it has instances. "mpi": ``worker-1 slots=1``, as ``mpirun --hostfile`` reads it, with instances that share a
    host counted together.
    """
    return _WRITERS[form]([item for item in instances if item[0].listed or item[0].tags])


def _json(instances: list[Listed]) -> bytes:
    hosts: dict[str, list[str]] = {}
    for container, host in instances:
        for tag in dict.fromkeys(container.tags):
            hosts.setdefault(tag, []).append(host)
    return f"{json.dumps(hosts, ensure_ascii=False)}\n".encode()


def _list(instances: list[Listed]) -> bytes:
    return "".join(f"{host}\n" for _, host in instances).encode()


def _mpi(instances: list[Listed]) -> bytes:
    slots = Counter(host for _, host in instances)
    return "".join(f"{host} slots={count}\n" for host, count in slots.items()).encode()


_WRITERS: dict[HostfileFormat, Callable[[list[Listed]], bytes]] = {
    HostfileFormat.JSON: _json,
    HostfileFormat.LIST: _list,
    HostfileFormat.MPI: _mpi,
}
