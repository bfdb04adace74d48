"""What an engine says of itself when it is met: the version of its API, and what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dgrid.errors import EngineError, EngineTooOld
from dgrid.nodes.engine import EngineInfo
from dgrid.plan.facts import EngineKind

# 1.41 is Docker 20.10's and Podman 4's; Docker 29 dropped what is older than 1.44.
_OLDEST_API, _NEWEST_API = (1, 41), (1, 47)


@contextmanager
def an_engines_answer(node: str, socket_path: str) -> Iterator[None]:
    """Within it an answer is read: one that makes no sense is no container engine's. Raises EngineError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EngineError(node, f"what answers at {socket_path} is no container engine") from error


def agreed_version(node: str, version: Mapping[str, Any]) -> str:
    """The newest version of the API that both speak, by the answer to ``/version``. Raises EngineTooOld."""
    newest = _pair(version["ApiVersion"])
    oldest = _pair(version.get("MinAPIVersion") or "1.12")
    if newest < _OLDEST_API:
        raise EngineTooOld(
            node, f"its engine is version {version['Version']}; dgrid needs Docker 20.10 or Podman 4.3, or newer"
        )
    major, minor = max(oldest, min(newest, _NEWEST_API))
    return f"{major}.{minor}"


def _pair(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def engine_info(version: Mapping[str, Any], info: Mapping[str, Any], has_catatonit: bool) -> EngineInfo:
    """The engine, by its answers to ``/version`` and ``/info``."""
    names = {component.get("Name", "") for component in version.get("Components") or ()}
    kind = EngineKind.PODMAN if "Podman Engine" in names else EngineKind.DOCKER
    swarm = info.get("Swarm") or {}
    active = swarm.get("LocalNodeState") == "active"
    managers = {manager["NodeID"] for manager in swarm.get("RemoteManagers") or ()} if active else set()
    return EngineInfo(
        kind=kind,
        version=version["Version"],
        # The first is Podman's own key, which 4.3 tells alone.
        rootless=bool(info.get("Rootless")) or any("rootless" in one for one in info.get("SecurityOptions") or ()),
        has_init=has_catatonit if kind is EngineKind.PODMAN else bool(info.get("InitBinary")),
        architecture=version.get("Arch", ""),
        swarm_managers=frozenset(managers),
        is_manager=active and bool(swarm.get("ControlAvailable")),
        cgroup_driver=str(info.get("CgroupDriver") or ""),
        cgroup_version=str(info.get("CgroupVersion") or ""),
    )
