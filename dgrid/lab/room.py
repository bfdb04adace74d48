"""Whether this machine has room for a lab: memory, and the ports it is to publish."""

from __future__ import annotations

import errno
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
        check_memory(shape, _available_now())
        for port in shape.ports:
            _check_port(port)


def check_room_for_more(machine: Machine, added: Shape) -> None:
    """Raises LabError where the nodes of ``added`` would not fit beside the lab, which has its frontend."""
    if machine.is_here:
        check_memory(added, _available_now(), has_front=True)


def check_memory(shape: Shape, available: int, *, has_front: bool = False) -> None:
    """Raises LabError with what the lab needs, what there is, and how many nodes would fit.

    ``has_front``: it is running, and these are nodes to be added.
    """
    node, free_mib = _NODE_MIB[shape.engine], available // _MIB
    front = 0 if has_front else _FRONT_MIB
    needed_mib = front + node * shape.node_count
    if needed_mib <= free_mib:
        return
    fit = (free_mib - front) // node
    fewer = f"dgrid lab add --name {shape.name} {fit}" if has_front else f"--nodes {fit}"
    remedy = f"try {fewer}, or end what else runs here" if fit >= 1 else "end what else runs here"
    parts = f"{node} MiB a node" if has_front else f"{node} MiB a node, {front} MiB the frontend"
    raise LabError(
        f"{shape.node_count} nodes need about {needed_mib} MiB of memory before any job ({parts}), "
        f"and this machine has {free_mib} MiB free; {remedy}"
    )


def available_bytes(meminfo: str) -> int:
    """``available_bytes("MemAvailable: 2 kB") == 2048``: proc(5), what can be had without swapping."""
    return next(int(line.split()[1]) * 1024 for line in meminfo.splitlines() if line.startswith("MemAvailable:"))


def _available_now() -> int:
    return available_bytes(Path("/proc/meminfo").read_text())


def _check_port(port: Port) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port.here))
        except OSError as error:
            if error.errno == errno.EACCES:  # below 1024, which is for root alone: dockerd is root
                return
            raise LabError(
                f"port {port.here} of this machine cannot be had ({error.strerror}); "
                f"choose another one: --publish OTHER:{port.front}"
            ) from error
