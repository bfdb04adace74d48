"""A lab as requests to this machine's engine: pure values, sent by ``up``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dgrid.lab.shape import FRONT, HOST_LABEL, LABEL, SHAPE_LABEL, Shape, shape_to_text

START = "/usr/local/lib/dgrid-lab/start"


@dataclass(frozen=True, slots=True)
class HostRequest:
    """One host container: ``host`` is the name its users know, ``name`` the one this machine's engine knows."""

    host: str
    name: str
    command: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    binds: tuple[tuple[str, str], ...]


def object_name(shape_name: str, part: str) -> str:
    """``object_name("dev", "node1") == "dgrid-lab-dev-node1"``."""
    return f"dgrid-lab-{shape_name}-{part}"


def volumes(shape: Shape) -> tuple[str, ...]:
    """The names of all volumes: three shared ones, and each node's engine storage.

    Engine storage is on volumes because overlay file systems do not stack: Docker's, and Podman's.
    """
    own = (f"{node}-{engine}" for node in shape.nodes for engine in ("docker", "podman"))
    return tuple(object_name(shape.name, part) for part in ("home", "dgrid", "secrets", *own))


def host_request(shape: Shape, host: str) -> HostRequest:
    """The request for one of ``shape.hosts``."""
    shared = {"home": "/home", "dgrid": "/opt/dgrid", "secrets": "/lab"}
    own = {f"{host}-docker": "/var/lib/docker", f"{host}-podman": "/var/lib/containers"}
    mounts = shared if host == FRONT else shared | own
    return HostRequest(
        host=host,
        name=object_name(shape.name, host),
        command=(START, *_settings(shape, host)),
        labels=((LABEL, shape.name), (HOST_LABEL, host), (SHAPE_LABEL, shape_to_text(shape))),
        binds=tuple((object_name(shape.name, part), target) for part, target in mounts.items()),
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
    if cgroup_version == 1:
        binds.append("/sys/fs/cgroup:/sys/fs/cgroup:rw")
    return {
        "Binds": binds,
        "NetworkMode": network,
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
