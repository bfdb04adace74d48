"""A container engine that is made up: it keeps what it is told to create, and runs commands that do nothing."""

from __future__ import annotations

import http.server
import json
import re
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dgrid.lab.machine import Machine
from dgrid.lab.parts import host_request, object_name
from dgrid.lab.shape import LABEL, Shape

Answer = tuple[int, Any]


@dataclass(slots=True)
class Engine:
    """``before`` is called with each request, as in "POST /networks/create", and may change what there is.

    ``output`` is what a command prints, ``exit_code`` what it ends with, by its argv; ``commands`` are those that ran,
    with their hosts' names.
    """

    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    networks: list[dict[str, Any]] = field(default_factory=list)
    volumes: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    commands: list[tuple[str, list[str]]] = field(default_factory=list)
    executions: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _request: None
    output: Callable[[list[str]], bytes] = lambda _argv: b""
    exit_code: Callable[[list[str]], int] = lambda _argv: 0

    def has_lab(self, shape: Shape, **states: str) -> None:
        """A lab that runs; hosts are in another state that is given by name."""
        self.networks.append(
            {"Id": f"n{len(self.networks)}", "Name": object_name(shape.name, "net"), "Labels": {LABEL: shape.name}}
        )
        for host in shape.hosts:
            request = host_request(shape, host)
            self.add(request.name, dict(request.labels), list(request.command), states.get(host, "running"))

    def add(self, name: str, labels: dict[str, str], command: list[str], state: str) -> str:
        """A container; its id."""
        made = f"c{len(self.requests)}-{name}"
        self.containers[made] = {"Name": name, "Labels": labels, "Cmd": command, "State": state}
        return made

    def names(self) -> set[str]:
        """Those of all containers."""
        return {one["Name"] for one in self.containers.values()}

    def asked(self, method: str) -> list[str]:
        """The requests of that method."""
        return [request for request in self.requests if request.startswith(method)]

    def answer(self, method: str, target: str, body: Any) -> Answer:
        """Carries a request out."""
        url = urlsplit(target)
        path = unquote(re.sub(r"^/v[\d.]+", "", url.path))
        self.before(f"{method} {path}")
        self.requests.append(f"{method} {path}")
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        for pattern, action in _ROUTES.items():
            if found := re.fullmatch(pattern, f"{method} {path}"):
                return action(self, found, query, body)
        return 404, {"message": f"the made up engine has no {method} {path}"}


def _labelled(query: dict[str, str], labels: dict[str, str]) -> bool:
    wanted = json.loads(query.get("filters", "{}")).get("label", [])
    return all(
        labels.get(name) == value if has_value else name in labels
        for name, has_value, value in (each.partition("=") for each in wanted)
    )


def _list_containers(engine: Engine, _found: re.Match[str], query: dict[str, str], _body: Any) -> Answer:
    return 200, [
        {"Id": made, "Labels": one["Labels"], "State": one["State"], "NetworkSettings": {"Networks": {}}}
        for made, one in engine.containers.items()
        if _labelled(query, one["Labels"])
    ]


def _list_networks(engine: Engine, _found: re.Match[str], query: dict[str, str], _body: Any) -> Answer:
    return 200, [one for one in engine.networks if _labelled(query, one["Labels"])]


def _list_volumes(engine: Engine, _found: re.Match[str], query: dict[str, str], _body: Any) -> Answer:
    found = engine.volumes.items()
    return 200, {"Volumes": [{"Name": name, "Labels": one} for name, one in found if _labelled(query, one)]}


def _make_network(engine: Engine, _found: re.Match[str], _query: dict[str, str], body: Any) -> Answer:
    if body.get("CheckDuplicate") and body["Name"] in {one["Name"] for one in engine.networks}:
        return 409, {"message": f"network with name {body['Name']} already exists"}
    made = f"n{len(engine.requests)}"
    engine.networks.append({"Id": made, "Name": body["Name"], "Labels": body["Labels"]})
    return 201, {"Id": made}


def _make_volume(engine: Engine, _found: re.Match[str], _query: dict[str, str], body: Any) -> Answer:
    engine.volumes.setdefault(body["Name"], body["Labels"])
    return 201, {"Name": body["Name"]}


def _make_container(engine: Engine, _found: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    if query["name"] in engine.names():
        return 409, {"message": f"the container name {query['name']} is in use"}
    return 201, {"Id": engine.add(query["name"], body["Labels"], body["Cmd"], "created")}


def _start(engine: Engine, found: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
    engine.containers[found[1]]["State"] = "running"
    return 204, None


def _inspect(engine: Engine, found: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
    state = engine.containers[found[1]]["State"]
    return 200, {"Image": "sha256:1", "State": {"Running": state == "running", "ExitCode": 0}}


def _remove_container(engine: Engine, found: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
    return (204, None) if engine.containers.pop(found[1], None) else (404, {"message": "no such container"})


def _remove_network(engine: Engine, found: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
    engine.networks[:] = [one for one in engine.networks if one["Id"] != found[1]]
    return 204, None


def _remove_volume(engine: Engine, found: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
    engine.volumes.pop(found[1], None)
    return 204, None


def _make_exec(engine: Engine, found: re.Match[str], _query: dict[str, str], body: Any) -> Answer:
    one = engine.containers[found[1]]
    if one["State"] != "running":
        return 409, {"message": f"Container {found[1]} is not running"}
    made = f"e{len(engine.executions)}"
    engine.executions[made] = one["Name"].rpartition("-")[2], body["Cmd"]
    return 201, {"Id": made}


def _start_exec(engine: Engine, found: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
    engine.commands.append(engine.executions[found[1]])
    return 101, engine.output(engine.executions[found[1]][1])


def _inspect_exec(engine: Engine, found: re.Match[str], _query: dict[str, str], _body: Any) -> Answer:
    return 200, {"ExitCode": engine.exit_code(engine.executions[found[1]][1])}


_ROUTES: dict[str, Callable[[Engine, re.Match[str], dict[str, str], Any], Answer]] = {
    r"GET /version": lambda *_: (200, {"ApiVersion": "1.41"}),
    r"GET /info": lambda *_: (200, {"CgroupVersion": "1"}),
    r"GET /images/.+/json": lambda *_: (200, {"Id": "sha256:1"}),
    r"GET /containers/json": _list_containers,
    r"GET /networks": _list_networks,
    r"GET /volumes": _list_volumes,
    r"POST /networks/create": _make_network,
    r"POST /volumes/create": _make_volume,
    r"POST /containers/create": _make_container,
    r"PUT /containers/.+/archive": lambda *_: (200, None),
    r"POST /containers/(.+)/start": _start,
    r"GET /containers/(.+)/json": _inspect,
    r"DELETE /containers/(.+)": _remove_container,
    r"DELETE /networks/(.+)": _remove_network,
    r"DELETE /volumes/(.+)": _remove_volume,
    r"POST /containers/(.+)/exec": _make_exec,
    r"POST /exec/(.+)/start": _start_exec,
    r"GET /exec/(.+)/json": _inspect_exec,
}


@contextmanager
def made_up(path: Path) -> Iterator[tuple[Engine, Machine]]:
    """An engine that answers at ``path``/engine.sock, and how it is reached."""
    engine, one_at_a_time = Engine(), threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def carry_out(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            is_json = self.headers.get("Content-Type") == "application/json"
            with one_at_a_time:
                status, answer = engine.answer(self.command, self.path, json.loads(content) if is_json else None)
            if status == 101:
                head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
                self.wfile.write(head + (struct.pack(">BxxxL", 1, len(answer)) + answer if answer else b""))
                return
            body = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = carry_out  # noqa: N815  # http.server's names

        def log_message(self, *_arguments: object) -> None:
            pass

        def address_string(self) -> str:
            return ""

    socket_path = path / "engine.sock"
    with socketserver.ThreadingUnixStreamServer(str(socket_path), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield engine, Machine(f"unix://{socket_path}", "1.41", 1)
        server.shutdown()
