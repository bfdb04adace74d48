"""Docker and Podman over the Docker Engine API (v1.41 and newer), reached through a link.

Podman answers 500 where Docker answers 400, 404 or 409, so outcomes are decided by looking, not by the status.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from dgrid.errors import EngineError, EngineNotFound, EngineTimeout
from dgrid.nodes.container_stream import AttachStream, EventStream, LogStream, hijack, unframe
from dgrid.nodes.engine import ContainerState, EngineInfo
from dgrid.nodes.engine_calls import EngineCalls, our_own_errors
from dgrid.nodes.engine_greeting import agreed_version, an_engines_answer, engine_info
from dgrid.nodes.link import Link
from dgrid.plan.docker_json import create_body, network_body
from dgrid.plan.facts import EngineKind
from dgrid.plan.request import CreateRequest, FileToPlace, NetworkRequest

_POLL_S = 0.05
_ATTACHED = b'{"Detach":false,"Tty":false}'
# A detach sequence nobody types: without one, ctrl-p ctrl-q would detach, and every ctrl-p would wait for a second key.
_NO_DETACH = "ctrl-@,ctrl-@,ctrl-],ctrl-@,ctrl-@"


class DockerApi:
    """The engine behind ``socket_path`` on the link's node, which speaks ``api_version``; made by ``connect``."""

    def __init__(
        self, link: Link, socket_path: str, calls: EngineCalls, api: str, info: EngineInfo, timeout_s: float
    ) -> None:  # fmt: skip
        self.node = link.node
        self.info = info
        self._link = link
        self.socket_path = socket_path
        self.api_version = api
        self._timeout_s = timeout_s
        self.calls = calls
        # Rootless Podman reads the user's ids for each create in a way that is not safe between threads (libsubid): of
        # 1000 creates, 8 at a time, a few gave containers without their ids, and one ended Podman's service (5.4).
        self._turn: contextlib.AbstractContextManager[Any] = (
            threading.Lock() if info.kind is EngineKind.PODMAN else contextlib.nullcontext()
        )
        self._answered = threading.Condition()
        self._outstanding = 0
        self._closed_for_creates = False

    def inspect_image(self, reference: str) -> Mapping[str, Any]:
        path = self._path(f"/images/{quote(reference, safe='/:@')}/json")
        return dict(self.calls.get(path, f"look up the image {reference}"))

    def create_network(self, request: NetworkRequest) -> None:
        with self._creating():
            self.calls.post(self._path("/networks/create"), f"make the network {request.name}", network_body(request))

    def create(self, request: CreateRequest) -> str:
        path, wanted = self._path("/containers/create"), f"create {request.name}"
        with self._turn, self._creating():
            made = self.calls.post(path, wanted, create_body(request), name=request.name)
        return str(made["Id"])

    def read_file(self, container_id: str, path: str) -> bytes | None:
        from dgrid.nodes.archive import unpack_first

        try:
            url, wanted = self._path(f"/containers/{container_id}/archive"), f"read {path} of the image"
            return unpack_first(self.calls.call("GET", url, wanted, {"path": path}))
        except EngineNotFound:
            return None

    def place(self, container_id: str, files: Iterable[FileToPlace], user: str) -> None:
        from dgrid.nodes.archive import pack

        url, wanted = self._path(f"/containers/{container_id}/archive"), "put dgrid's files into the container"
        with self._creating():
            self.calls.put(url, wanted, pack(tuple(files), user), "application/x-tar", path="/")

    def start(self, container_id: str) -> None:
        with self._creating():
            self.calls.post(self._path(f"/containers/{container_id}/start"), "start the container")

    def state(self, container_id: str) -> ContainerState:
        found = self._inspect(container_id)
        state = found["State"]
        running = bool(state["Running"])
        # A created container says exit code 0 on Docker, too: it has ended only if it was started.
        ended = not running and state["Status"] in ("exited", "dead", "stopped")
        return ContainerState(
            container_id=container_id,
            name=found["Name"].removeprefix("/"),
            running=running,
            exit_code=int(state["ExitCode"]) if ended or state["ExitCode"] else None,
            pid=int(state.get("Pid") or 0),
            out_of_memory=bool(state.get("OOMKilled")),
            error=state.get("Error") or "",
            finished_at=str(state.get("FinishedAt") or ""),
        )

    def attach(self, container_id: str, tty: bool, stdin: bool) -> AttachStream:
        query = urlencode({"stream": 1, "stdin": int(stdin), "stdout": 1, "stderr": 1, "detachKeys": _NO_DETACH})
        stream = self._dial()
        with our_own_errors(self.node, "attach to the container"):
            return hijack(
                self.node, stream, self._path(f"/containers/{container_id}/attach?{query}"), self._link.half_close, tty
            )

    def resize(self, container_id: str, rows: int, columns: int) -> None:
        self.calls.post(self._path(f"/containers/{container_id}/resize"), "resize the terminal", h=rows, w=columns)

    def kill(self, container_id: str, signal: str) -> None:
        try:
            self.calls.post(self._path(f"/containers/{container_id}/kill"), f"send {signal}", signal=signal)
        except EngineError:
            if self._is_running(container_id):
                raise

    def execute(self, container_id: str, command: tuple[str, ...], user: str, timeout_s: float) -> int:
        deadline, wanted = time.monotonic() + timeout_s, "run a command in the container"
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command), "User": user}
        made = self.calls.post(self._path(f"/containers/{container_id}/exec"), wanted, body)["Id"]
        # Attached, as Podman 4.3 never notices the end of a detached one.
        with our_own_errors(self.node, wanted):
            path = self._path(f"/exec/{made}/start")
            output = hijack(self.node, self._dial(), path, self._link.half_close, tty=False, body=_ATTACHED)
        closer = threading.Timer(timeout_s, output.close)
        closer.daemon = True
        closer.start()
        for _ in output.chunks():
            pass
        closer.cancel()
        output.close()
        while (state := self.calls.get(self._path(f"/exec/{made}/json"), wanted))["Running"]:
            if time.monotonic() > deadline:
                raise EngineTimeout(self.node, f"the command did not end within {timeout_s:g} s")
            time.sleep(_POLL_S)
        return int(state["ExitCode"])

    def tail(self, container_id: str, lines: int) -> str:
        tty = bool(self._inspect(container_id)["Config"]["Tty"])
        path, query = self._path(f"/containers/{container_id}/logs"), {"stdout": 1, "stderr": 1, "tail": lines}
        log = self.calls.call("GET", path, "read the log", query)
        return (log if tty else b"".join(part for _, part in unframe(iter((log,))))).decode(errors="replace")

    def follow_log(self, container_id: str) -> LogStream:
        query = urlencode({"stdout": 1, "stderr": 1, "follow": 1})
        with our_own_errors(self.node, "read the log"):
            return LogStream(self.node, self._dial(), self._path(f"/containers/{container_id}/logs?{query}"))

    def events(self, labels: Mapping[str, str]) -> EventStream:
        # Podman 4.3 filters by its own word, "died", and tells "die" all the same.
        filters = {"type": ["container"], "event": ["die", "died"], "label": _label_list(labels)}
        query = urlencode({"filters": json.dumps(filters)})
        with our_own_errors(self.node, "watch the containers"):
            return EventStream(self.node, self._dial(), self._path(f"/events?{query}"))

    def containers(self, labels: Mapping[str, str], running_only: bool = False) -> tuple[str, ...]:
        filters = json.dumps({"label": _label_list(labels)})
        found = self.calls.get(
            self._path("/containers/json"), "list the containers", all=int(not running_only), filters=filters
        )
        return tuple(container["Id"] for container in found)

    def remove(self, container_id: str) -> None:
        if self.info.kind is EngineKind.PODMAN:
            # Its forced removal asks first, and gives the container ten seconds to end.
            with contextlib.suppress(EngineError):
                self.kill(container_id, "SIGKILL")
        try:
            self.calls.delete(self._path(f"/containers/{container_id}"), "remove the container", force=1, v=1)
        except EngineError:
            if self._exists(container_id):
                raise

    def networks(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        filters = json.dumps({"label": _label_list(labels)})
        found = self.calls.get(self._path("/networks"), "list the networks", filters=filters)
        return tuple(network["Name"] for network in found)

    def remove_network(self, name: str) -> None:
        self.calls.delete(self._path(f"/networks/{quote(name, safe='')}"), f"remove the network {name}")

    def refuse_creates(self, patience_s: float) -> bool:
        with self._answered:
            self._closed_for_creates = True
            return not self._answered.wait_for(lambda: self._outstanding == 0, patience_s)

    def close(self) -> None:
        self.calls.close()

    def _creating(self) -> _Outstanding:
        return _Outstanding(self)

    def _is_running(self, container_id: str) -> bool:
        return self._exists(container_id) and self.state(container_id).running

    def _exists(self, container_id: str) -> bool:
        try:
            self.state(container_id)
        except EngineNotFound:
            return False
        return True

    def _inspect(self, container_id: str) -> Any:
        return self.calls.get(self._path(f"/containers/{container_id}/json"), "inspect the container")

    def _dial(self) -> Any:
        return self._link.dial(self.socket_path, self._timeout_s)

    def _path(self, path: str) -> str:
        return f"/v{self.api_version}{path}"


class _Outstanding:
    """Counts calls that make something: one whose answer never came may still be carried out by the engine."""

    def __init__(self, engine: DockerApi) -> None:
        self._engine = engine

    def __enter__(self) -> None:
        with self._engine._answered:
            if self._engine._closed_for_creates:
                raise EngineError(self._engine.node, "the run is ending")
            self._engine._outstanding += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        answered = error is None or (isinstance(error, EngineError) and error.status is not None)
        if answered:
            with self._engine._answered:
                self._engine._outstanding -= 1
                self._engine._answered.notify_all()


def connect(link: Link, socket_path: str, timeout_s: float, has_catatonit: bool) -> DockerApi:
    """Ask the engine who it is and agree on an API version. Raises EngineError.

    ``has_catatonit`` says whether Podman finds an init process, which its API does not.
    """
    calls = EngineCalls(link.node, lambda limit_s: link.dial(socket_path, limit_s), timeout_s)
    wanted = "ask the engine for its version"
    try:
        # Without a version in the path: an engine answers that whatever versions it speaks.
        version = calls.get("/version", wanted)
        with an_engines_answer(link.node, socket_path):
            api = agreed_version(link.node, version)
        info = calls.get(f"/v{api}/info", wanted)
        with an_engines_answer(link.node, socket_path):
            found = engine_info(version, info, has_catatonit)
    except BaseException:
        calls.close()
        raise
    return DockerApi(link, socket_path, calls, api, found, timeout_s)


def _label_list(labels: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in labels.items()]
