"""Finding the container engine of a node: Docker where it answers, else the user's rootless Podman."""

from __future__ import annotations

from dgrid.errors import EngineError, EngineTooOld, EngineUnreachable
from dgrid.nodes import docker_api
from dgrid.nodes.docker_api import DockerApi
from dgrid.nodes.link import Link
from dgrid.nodes.probe import Findings
from dgrid.plan.facts import EngineKind

# In a batch or ssh session there is no service manager of the user's to start Podman's service, so it is started for
# the run. The shell becomes the service; one child says where its socket is, another ends it when the input ends.
_PODMAN_SERVICE = (
    'umask 077; d=$(mktemp -d /tmp/dgrid-XXXXXXXX) || exit 1; [ -d "$XDG_RUNTIME_DIR" ] || unset XDG_RUNTIME_DIR; '
    "exec 3<&0; (cat <&3 >/dev/null 2>&1; kill $$; rm -rf $d) & "
    "(until [ -S $d/engine ]; do kill -0 $$ 2>/dev/null || { echo failed $(tail -n 1 $d/log); exit; }; "
    "sleep 0.1; done; echo engine $d/engine) & exec 3<&-; "
    "exec podman system service --time=0 unix://$d/engine >$d/log 2>&1 </dev/null"
)


def choose_engine(link: Link, findings: Findings, wanted: str, socket_path: str | None, timeout_s: float) -> DockerApi:
    """The engine to use on the link's node. ``wanted`` is "auto", "docker" or "podman". Raises EngineError.

    ``socket_path`` names the socket where the site has it in an unusual place.
    """
    refusals: list[str] = []
    for path in _sockets(findings, wanted, socket_path):
        try:
            return _suitable(docker_api.connect(link, path, timeout_s, findings.has_catatonit))
        except EngineUnreachable as error:
            refusals.append(error.what)
    if wanted != "docker" and findings.has_podman and socket_path is None:
        path = _start_podman(link, timeout_s)
        return _suitable(docker_api.connect(link, path, timeout_s, findings.has_catatonit))
    raise EngineUnreachable(link.node, _nothing_found(findings, wanted, socket_path, refusals))


def _sockets(findings: Findings, wanted: str, socket_path: str | None) -> list[str]:
    if socket_path is not None:
        return [socket_path]
    return [found.path for found in findings.sockets if found.state == "usable" and wanted in ("auto", found.engine)]


def _start_podman(link: Link, timeout_s: float) -> str:
    resident = link.stay(_PODMAN_SERVICE)
    try:
        # Start-up files of the login shell may have something to say before.
        while line := resident.read_line(timeout_s):
            word, _, rest = line.partition(" ")
            if word == "engine":
                return rest
            if word == "failed":
                break
    except TimeoutError as error:
        raise EngineUnreachable(link.node, f"podman's service did not start within {timeout_s:g} s") from error
    reason = line.removeprefix("failed").strip() or "it ended without a message"
    raise EngineUnreachable(link.node, f"podman's service does not start: {reason}")


def _suitable(engine: DockerApi) -> DockerApi:
    info = engine.info
    if info.kind is EngineKind.PODMAN and _version(info.version) < (4, 3):
        raise EngineTooOld(engine.node, f"its podman is version {info.version}; dgrid needs 4.3 or newer")
    if info.kind is EngineKind.DOCKER and info.rootless:
        raise EngineError(
            engine.node,
            "its Docker is rootless and cannot run containers as you (it maps your own id to root); "
            "use rootless Podman: --engine podman",
        )
    return engine


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _nothing_found(findings: Findings, wanted: str, socket_path: str | None, refusals: list[str]) -> str:
    if socket_path is None:
        refusals += [
            f"cannot reach Docker at {found.path} (permission denied). Are you in the group docker there?"
            if found.engine == "docker"
            else f"cannot reach Podman at {found.path} (permission denied)"
            for found in findings.sockets
            if found.state == "forbidden" and wanted in ("auto", found.engine)
        ]
    if not refusals:
        refusals.append("found no container engine" if wanted == "auto" else f"found no {wanted}")
    if wanted != "docker" and not findings.has_podman:
        refusals.append("podman is not installed there either" if wanted == "auto" else "podman is not installed there")
    return "; ".join(refusals)
