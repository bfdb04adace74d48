"""What a node's engine tells of itself, of its images and of what ended runs have left there; it only answers."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dgrid.nodes.doctor_login import free_bytes
from dgrid.nodes.engine import Engine
from dgrid.nodes.engine_images import EngineImages
from dgrid.nodes.link import Link
from dgrid.plan.checkup import EngineFound, Leftover, SwarmFound
from dgrid.plan.naming import LABEL_JOB, LABEL_NODE, LABEL_SESSION, LABEL_USER

_NO_TAG = "<none>:<none>"


def ask_engine(
    link: Link, engine: Engine, nodes: tuple[str, ...], user: str, wanted: tuple[str, ...], timeout_s: float
) -> EngineFound:
    """Everything there is to find of the engine behind ``link``, which is that of ``nodes``.

    ``wanted`` are names of images to look up. All of the user's objects count as left over: what is live is not the
    engine's to know. Raises EngineError, LinkError.
    """
    calls = _Asked(engine)
    info, version = calls.get("/info"), calls.get("/version")
    images = EngineImages(link, engine)
    found = {image: images.find(image) for image in wanted}
    directory = str(info.get("DockerRootDir") or "/")
    containers = calls.get("/containers/json", all="1", filters=_filters(user))
    networks = calls.get("/networks", filters=_filters(user))
    return EngineFound(
        kind=engine.info.kind,
        version=engine.info.version,
        rootless=engine.info.rootless,
        has_init=engine.info.has_init,
        architecture=engine.info.architecture,
        cgroup_driver=str(info.get("CgroupDriver") or ""),
        cgroup_version=str(info.get("CgroupVersion") or ""),
        parts=_parts(version.get("Components") or ()),
        authorization=tuple((info.get("Plugins") or {}).get("Authorization") or ()),
        directory=directory,
        free_bytes=free_bytes(link, directory, timeout_s),
        swarm=_swarm(info.get("Swarm") or {}, calls),
        tags=_tags(calls.get("/images/json")),
        wanted=tuple((image, None if one is None else one.image_id) for image, one in found.items()),
        leftovers=_leftovers(containers, [one for one in networks if _made_here(one, nodes)]),
    )


class _Asked:
    """``_Asked(engine).get("/info")``: the engine's answers, as data; raises EngineError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, path: str, **query: str) -> Any:
        path_of_version = f"/v{self._engine.api_version}{path}"
        return self._engine.calls.get(path_of_version, f"ask the engine for {path}", **query)


def _filters(user: str) -> str:
    return json.dumps({"label": [LABEL_SESSION, f"{LABEL_USER}={user}"]})


def _parts(components: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Docker names "runc"; Podman "OCI Runtime (crun)", with a version of "crun version 1.21"."""
    parts = []
    for one in components:
        name = re.sub(r"OCI Runtime \((.*)\)", r"\1", str(one.get("Name", "")))
        number = re.search(r"\d\S*", str(one.get("Version", "")))
        if number:
            parts.append((name.rpartition("/")[2], number[0]))
    return tuple(parts)


def _swarm(swarm: Mapping[str, Any], calls: _Asked) -> SwarmFound:
    active = swarm.get("LocalNodeState") == "active"
    is_manager = active and bool(swarm.get("ControlAvailable"))
    nodes = calls.get("/nodes") if is_manager else []
    return SwarmFound(
        state=str(swarm.get("LocalNodeState") or "inactive"),
        error=str(swarm.get("Error") or ""),
        managers=frozenset(one["NodeID"] for one in swarm.get("RemoteManagers") or ()) if active else frozenset(),
        is_manager=is_manager,
        unreachable=tuple(
            str(one["Description"]["Hostname"])
            for one in nodes
            if (one.get("ManagerStatus") or {}).get("Reachability") == "unreachable"
        ),
    )


def _tags(images: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (str(tag), str(one["Id"]).removeprefix("sha256:"))
        for one in images
        for tag in one.get("RepoTags") or ()
        if tag != _NO_TAG
    )


def _made_here(network: Mapping[str, Any], nodes: tuple[str, ...]) -> bool:
    """A swarm's network is seen by other managers, too; it counts where it was made."""
    return network.get("Scope") != "swarm" or (network.get("Labels") or {}).get(LABEL_NODE) in nodes


def _leftovers(containers: Iterable[Mapping[str, Any]], networks: Iterable[Mapping[str, Any]]) -> tuple[Leftover, ...]:
    jobs: dict[str, str] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for kind, objects in (("container", containers), ("network", networks)):
        for one in objects:
            labels = one.get("Labels") or {}
            session = str(labels.get(LABEL_SESSION) or "")
            if session:
                jobs.setdefault(session, str(labels.get(LABEL_JOB) or ""))
                counts[kind, session] += 1
    return tuple(
        Leftover(session, job, counts["container", session], counts["network", session])
        for session, job in jobs.items()
    )
