"""Finding the container engine of a node: Docker where it answers, else the user's rootless Podman."""

from __future__ import annotations

from dgrid.errors import EngineError, EngineTimeout, EngineTooOld, EngineUnreachable
from dgrid.nodes import docker_api
from dgrid.nodes.docker_api import DockerApi
from dgrid.nodes.link import Link
from dgrid.nodes.probe import Findings
from dgrid.plan.facts import EngineKind

_USUAL_SOCKET = "/run/docker.sock"
# In a batch or ssh session there is no service manager of the user's to start Podman's service, so it is started for
# the run. The shell becomes the service; one child says where its socket is, another ends it when the input ends.
_PODMAN_SERVICE = (
    'umask 077; d=$(mktemp -d /tmp/dgrid-XXXXXXXX) || exit 1; [ -d "$XDG_RUNTIME_DIR" ] || unset XDG_RUNTIME_DIR; '
    "exec 3<&0; (cat <&3 >/dev/null 2>&1; kill $$; rm -rf $d) & "
    "(until [ -S $d/engine ]; do kill -0 $$ 2>/dev/null || { echo failed $(tail -n 1 $d/log); exit; }; "
    "sleep 0.1; done; echo engine $d/engine) & exec 3<&-; "
    "exec podman system service --time=0 unix://$d/engine >$d/log 2>&1 </dev/null"
)


def meet_early(link: Link, wanted: str, socket_path: str | None, timeout_s: float) -> DockerApi | None:
    """The Docker that ``choose_engine`` will most likely choose, while nothing is known of the node yet.

    None where there is none, for any reason: ``choose_engine`` tells it. Raises EngineTimeout.
    """
    if wanted == "podman":
        return None
    try:
        engine = docker_api.connect(link, socket_path or _USUAL_SOCKET, timeout_s, has_catatonit=False)
    except EngineTimeout:
        raise
    except EngineError:
        return None
    if engine.info.kind is EngineKind.DOCKER:
        return engine
    engine.close()  # one has to look at the node to know all about Podman
    return None


def choose_engine(
    link: Link,
    findings: Findings,
    wanted: str,
    socket_path: str | None,
    timeout_s: float,
    met: DockerApi | None = None,
) -> tuple[DockerApi, str | None]:
    """The engine to use on the link's node, and why it is not Docker if there is one. Raises EngineError.

    ``wanted`` is "auto", "docker" or "podman"; ``socket_path`` names the socket where the site has it in an unusual
    place; ``met`` has been connected to already.
    """
    refusals: list[str] = []
    for path in _sockets(findings, wanted, socket_path):
        try:
            if met is not None and met.socket_path == path:
                engine = _suitable(met)
            else:
                engine = _suitable(docker_api.connect(link, path, timeout_s, findings.has_catatonit))
            return engine, _not_docker(engine, findings, wanted, refusals)
        except EngineUnreachable as error:
            refusals.append(error.what)
    if wanted != "docker" and findings.has_podman and socket_path is None:
        path = _start_podman(link, timeout_s)
        engine = _suitable(docker_api.connect(link, path, timeout_s, findings.has_catatonit))
        return engine, _not_docker(engine, findings, wanted, refusals)
    raise EngineUnreachable(link.node, _nothing_found(findings, wanted, socket_path, refusals))


def _not_docker(engine: DockerApi, findings: Findings, wanted: str, refusals: list[str]) -> str | None:
    """What kept dgrid from the node's Docker; None where it has none, or Podman was asked for."""
    if wanted != "auto" or engine.info.kind is EngineKind.DOCKER:
        return None
    refusals = [*refusals, *_forbidden(findings, wanted)]
    return f"Podman is used there: {'; '.join(refusals)}" if refusals else None


def _forbidden(findings: Findings, wanted: str) -> list[str]:
    return [
        f"cannot reach Docker at {found.path} (permission denied). Are you in the group docker there?"
        if found.engine == "docker"
        else f"cannot reach Podman at {found.path} (permission denied)"
        for found in findings.sockets
        if found.state == "forbidden" and wanted in ("auto", found.engine)
    ]


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
        refusals += _forbidden(findings, wanted)
    if not refusals:
        refusals.append("found no container engine" if wanted == "auto" else f"found no {wanted}")
    if socket_path is not None:
        refusals.append("this socket was named by --engine-socket, or engine_socket in the settings")
    elif wanted != "docker" and not findings.has_podman:
        refusals.append("podman is not installed there either" if wanted == "auto" else "podman is not installed there")
    return "; ".join(refusals)
