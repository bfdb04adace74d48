"""A lab as requests to this machine's engine: pure values, sent by ``up``."""

from __future__ import annotations

from typing import Any

from dgrid.lab.shape import FRONT, HOST_LABEL, LABEL, SHAPE_LABEL, Bind, Port, Shape, shape_to_text
from dgrid.record import record

START = "/usr/local/lib/dgrid-lab/start"
_SHARED = {"home": "/home", "dgrid": "/opt/dgrid", "secrets": "/lab"}


@record
class HostRequest:
    """One host container: ``host`` is the name its users know, ``name`` the one this machine's engine knows."""

    host: str
    name: str
    command: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    binds: tuple[tuple[str, str], ...]
    mounts: tuple[Bind, ...] = ()
    ports: tuple[Port, ...] = ()


def object_name(shape_name: str, part: str) -> str:
    """``object_name("dev", "node1") == "dgrid-lab-dev-node1"``."""
    return f"dgrid-lab-{shape_name}-{part}"


def volumes(shape: Shape) -> tuple[str, ...]:
    """The names of all volumes: three shared ones, and each node's engine storage."""
    own = (part for node in shape.nodes for part in _own_volumes(node))
    return tuple(object_name(shape.name, part) for part in (*_SHARED, *own))


def node_volumes(shape: Shape, node: str) -> tuple[str, ...]:
    """The names of one node's volumes."""
    return tuple(object_name(shape.name, part) for part in _own_volumes(node))


def _own_volumes(node: str) -> dict[str, str]:
    # Engine storage is on volumes because overlay file systems do not stack: Docker's, and Podman's.
    return {f"{node}-docker": "/var/lib/docker", f"{node}-podman": "/var/lib/containers"}


def host_request(shape: Shape, host: str) -> HostRequest:
    """The request for one of ``shape.hosts``."""
    mounts = _SHARED if host == FRONT else _SHARED | _own_volumes(host)
    return HostRequest(
        host=host,
        name=object_name(shape.name, host),
        command=(START, *_settings(shape, host)),
        labels=((LABEL, shape.name), (HOST_LABEL, host), (SHAPE_LABEL, shape_to_text(shape))),
        binds=tuple((object_name(shape.name, part), target) for part, target in mounts.items()),
        mounts=shape.binds,
        ports=shape.ports if host == FRONT else (),
    )


def _settings(shape: Shape, host: str) -> tuple[str, ...]:
    people = " ".join(f"{user.name}:{user.uid}:{user.gid}" for user in shape.users)
    return (
        f"ROLE={'front' if host == FRONT else 'node'}",
        f"BATCH={shape.batch.value}",
        f"ENGINE={shape.engine.value}",
        f"SLOTS={shape.slots}",
        f"NODES={' '.join(shape.nodes)}",
        f"USERS={people}",
    )


def host_config(request: HostRequest, network: str, cgroup_version: int) -> dict[str, Any]:
    """What lets a container run an engine of its own, as the engine's HostConfig.

    Not ``privileged``: that fails where the machine itself lacks a capability. SYS_RESOURCE is dropped for
    the same reason. The empty path lists are what ``docker run`` makes of ``systempaths=unconfined``; without
    them no nested container can mount its /proc. On cgroup v1 an engine needs the machine's hierarchy; on v2
    the container's own namespace is enough (``start`` makes it writable).
    """
    binds = [f"{volume}:{target}" for volume, target in request.binds]
    binds += [f"{bind.source}:{bind.target}:{'ro' if bind.read_only else 'rw'}" for bind in request.mounts]
    if cgroup_version == 1:
        binds.append("/sys/fs/cgroup:/sys/fs/cgroup:rw")
    return {
        "Binds": binds,
        "NetworkMode": network,
        "PortBindings": _bindings(request.ports),
        "CgroupnsMode": "host" if cgroup_version == 1 else "private",
        "CapAdd": ["ALL"],
        "CapDrop": ["SYS_RESOURCE"],
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "DeviceCgroupRules": ["a *:* rwm"],
        "Init": True,
        "RestartPolicy": {"Name": "no"},
    }


def _bindings(ports: tuple[Port, ...]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        bindings.setdefault(f"{port.front}/tcp", []).append(_here(port))
    return bindings


def _here(port: Port) -> dict[str, str]:
    # Not on the machine's other addresses: a lab is for whoever started it.
    return {"HostIp": "127.0.0.1", "HostPort": str(port.here)}
