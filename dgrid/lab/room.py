"""Whether this machine has room for a lab: memory, and the ports it is to publish."""

from __future__ import annotations

import socket
from pathlib import Path

from dgrid.errors import LabError
from dgrid.lab.machine import Machine
from dgrid.lab.shape import NodeEngine, Port, Shape

_MIB = 1 << 20
# Measured, as docker stats has it, of hosts that have just started: nodes 57 to 105 MiB with dockerd, 7 without;
# frontends 10 to 12 MiB (Slurm, HTCondor, Grid Engine), 121 with OAR.
_FRONT_MIB = 125
_NODE_MIB = {NodeEngine.DOCKER: 110, NodeEngine.PODMAN: 25}


def check_room(machine: Machine, shape: Shape) -> None:
    """Raises LabError where the lab's hosts alone, without any job, would not fit, or a port is taken."""
    if machine.is_here:
        check_memory(shape, available_bytes(Path("/proc/meminfo").read_text()))
        for port in shape.ports:
            _check_port(port)


def check_memory(shape: Shape, available: int) -> None:
    """Raises LabError with what the lab needs, what there is, and how many nodes would fit."""
    node, free_mib = _NODE_MIB[shape.engine], available // _MIB
    needed_mib = _FRONT_MIB + node * shape.node_count
    if needed_mib <= free_mib:
        return
    fit = (free_mib - _FRONT_MIB) // node
    remedy = f"try --nodes {fit}, or end what else runs here" if fit >= 1 else "end what else runs here"
    raise LabError(
        f"{shape.node_count} nodes need about {needed_mib} MiB of memory before any job ({node} MiB a node, "
        f"{_FRONT_MIB} MiB the frontend), and this machine has {free_mib} MiB free; {remedy}"
    )


def available_bytes(meminfo: str) -> int:
    """``available_bytes("MemAvailable: 2 kB") == 2048``: proc(5), what can be had without swapping."""
    return next(int(line.split()[1]) * 1024 for line in meminfo.splitlines() if line.startswith("MemAvailable:"))


def _check_port(port: Port) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port.here))
        except OSError as error:
            raise LabError(
                f"port {port.here} of this machine cannot be had ({error.strerror}); "
                f"choose another one: --publish OTHER:{port.front}"
            ) from error
