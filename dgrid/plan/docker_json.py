"""Requests as the JSON bodies of the Docker API, version 1.41, which Podman understands too."""

from __future__ import annotations

from typing import Any

from dgrid.plan.definition import Mount, Resources
from dgrid.plan.job_limits import within
from dgrid.plan.request import CreateRequest, NetworkRequest

API_VERSION = "1.41"  # Docker 20.10's; see https://docs.docker.com/engine/api/v1.41/
HOST = "host"
_LOG = {"Type": "json-file", "Config": {"max-size": "16m", "max-file": "2"}}
# The head container's output goes to dgrid's own, so a log of it would be a second copy: measured on Docker 20.10,
# 100 MB take twice the time with one.
_NO_LOG = {"Type": "none"}


def create_body(request: CreateRequest) -> dict[str, Any]:
    """The body of ``POST /containers/create?name=<request.name>``.

    What the request leaves open (command, entrypoint, work_dir, stop_signal, limits) is left out, so that the
    image's or the engine's own holds. Whatever a site's engine has as a default, the container never restarts by
    itself, a worker keeps its log where ``logs`` can read it, and all run without capabilities and without a way to
    new ones.
    """
    body: dict[str, Any] = {
        "Image": request.image,
        "User": request.user,
        "Env": [f"{name}={value}" for name, value in request.environment],
        "Labels": dict(request.labels),
        "Tty": request.tty,
        "OpenStdin": request.is_head,
        "StdinOnce": request.is_head,
        "AttachStdin": request.is_head,
        "AttachStdout": request.is_head,
        "AttachStderr": request.is_head,
        "HostConfig": _host_config(request),
    }
    chosen = {
        "Cmd": _list(request.command),
        "Entrypoint": _list(request.entrypoint),
        "Hostname": request.hostname,
        "WorkingDir": request.work_dir,
        "StopSignal": request.stop_signal,
    }
    body |= {key: value for key, value in chosen.items() if value is not None}
    if request.network != HOST:
        body["NetworkingConfig"] = {"EndpointsConfig": {request.network: {"Aliases": list(request.aliases)}}}
    return body


def network_body(request: NetworkRequest) -> dict[str, Any]:
    """The body of ``POST /networks/create``. CheckDuplicate: Docker would else make a second one of the same name."""
    body: dict[str, Any] = {
        "Name": request.name,
        "Driver": request.driver,
        "CheckDuplicate": True,
        "Labels": dict(request.labels),
    }
    # Only swarm services may use an overlay network that is not attachable.
    return body | {"Attachable": True} if request.driver == "overlay" else body


def _host_config(request: CreateRequest) -> dict[str, Any]:
    config: dict[str, Any] = {
        "NetworkMode": request.network,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "LogConfig": _NO_LOG if request.is_head else _LOG,
        "Mounts": [_mount(mount) for mount in request.mounts],
        "ExtraHosts": [f"{name}:{address}" for name, address in request.extra_hosts],
        # In a user namespace of Podman's these numbers mean other groups, or none, and then it does not start (4.3).
        "GroupAdd": [] if request.keep_id else list(request.groups),
        **_limits(within(request.resources, request.job_limits)),
        **_devices(request),
    }
    if request.job_limits.parent is not None:
        config["CgroupParent"] = request.job_limits.parent
    cpuset = request.cpuset or request.job_limits.cpuset
    if cpuset is not None:
        config["CpusetCpus"] = cpuset
    if request.init:
        config["Init"] = True
    if request.keep_id:
        config["UsernsMode"] = "keep-id"
    return config


def _mount(mount: Mount) -> dict[str, Any]:
    """Mounts, not Binds: those would make a missing source, owned by root."""
    return {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}


def _limits(resources: Resources) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if resources.cpus is not None:
        limits["NanoCpus"] = round(resources.cpus * 1e9)
    if resources.memory_bytes is not None:
        # MemorySwap counts memory and swap together: equal means no swap.
        limits |= {"Memory": resources.memory_bytes, "MemorySwap": resources.memory_bytes}
    if resources.shm_bytes is not None:
        limits["ShmSize"] = resources.shm_bytes
    return limits


def _devices(request: CreateRequest) -> dict[str, Any]:
    """These very GPUs, or outside of jobs that many."""
    if request.resources.gpus is None:
        return {}
    which = {"Count": request.resources.gpus} if request.gpus is None else {"DeviceIDs": list(request.gpus)}
    return {"DeviceRequests": [{**which, "Capabilities": [["gpu"]]}]}


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)
