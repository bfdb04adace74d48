"""An engine behind a socket of this machine, for `dgrid reap`: the few calls it needs, without the slow imports."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from dgrid.errors import EngineError, EngineTimeout, EngineUnreachable, NodeError
from dgrid.nodes.fanout import fan_out
from dgrid.nodes.link_local import dial_unix
from dgrid.nodes.reap_engine import Deadline, Removal
from dgrid.plan.naming import LABEL_SESSION
from dgrid.plan.reaping import Found, Kind, read_marks

DOCKER_SOCKET = "/run/docker.sock"

_PARALLEL = 8
_MARKED = urlencode({"filters": json.dumps({"label": [LABEL_SESSION]})})
# Gone already, or about to go: by the run's own teardown, by its leash, by another reap.
_GOING = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_IN_USE = "is in use by task"
_LOST_TASK = (
    "; if no container of its run is left on any node, an engine has lost track of one whose start was cut off: "
    "restart the engine of that task's node (`docker inspect --type task` on a manager of the swarm tells which)"
)


class DockerSocket:
    """``DockerSocket("node1", "/run/docker.sock", Deadline(time.monotonic() + 20)).found()``."""

    def __init__(self, node: str, socket_path: str, deadline: Deadline) -> None:
        self.title = "Docker" if socket_path == DOCKER_SOCKET else f"the engine at {socket_path}"
        self._node = node
        self._path = socket_path
        self._deadline = deadline
        self._is_podman = False

    def found(self) -> tuple[Found, ...]:
        containers = self._list(f"/containers/json?all=1&{_MARKED}")
        networks = self._list(f"/networks?{_MARKED}")
        marked = [*(_container(one) for one in containers), *(_network(one) for one in networks)]
        return tuple(one for one in marked if one is not None)

    def pid(self, container: Found) -> int:
        status, text = self._ask("GET", f"/containers/{quote(container.object_id)}/json")
        return int(json.loads(text)["State"].get("Pid") or 0) if status < HTTPStatus.BAD_REQUEST else 0

    def remove_containers(self, containers: Sequence[Found]) -> Removal:
        return self._remove(containers, self._remove_container)

    def remove_networks(self, networks: Sequence[Found]) -> Removal:
        return self._remove(networks, lambda one: self._ask("DELETE", f"/networks/{quote(one.object_id)}"))

    def _remove_container(self, one: Found) -> tuple[int, str]:
        path = f"/containers/{quote(one.object_id)}"
        if self._is_podman:
            # Its forced removal asks first, and gives the container ten seconds to end.
            self._ask("POST", f"{path}/kill?signal=KILL")
        return self._ask("DELETE", f"{path}?force=1&v=1")

    def _remove(self, objects: Sequence[Found], remove: Callable[[Found], tuple[int, str]]) -> Removal:
        removed: list[Found] = []
        failed: list[tuple[str, str]] = []
        for outcome in fan_out(objects, remove, _PARALLEL):
            if outcome.value is None:
                failed.append((outcome.item.object_id, _what(outcome.error)))
                continue
            status, text = outcome.value
            if status < HTTPStatus.BAD_REQUEST:
                removed.append(outcome.item)
            elif status not in _GOING:
                failed.append((outcome.item.object_id, _message(text) + (_LOST_TASK if _IN_USE in text else "")))
        return Removal(tuple(removed), tuple(failed))

    def _list(self, path: str) -> list[dict[str, Any]]:
        status, text = self._ask("GET", path)
        if status >= HTTPStatus.BAD_REQUEST:
            raise EngineError(self._node, f"{self.title} cannot list what it has: {_message(text)}", status)
        found = json.loads(text)
        return found if isinstance(found, list) else []

    def _ask(self, method: str, path: str) -> tuple[int, str]:
        action = f"{method} {path.partition('?')[0]}"
        limit_s = self._deadline.call_s(self._node, action)
        connection = http.client.HTTPConnection("engine", timeout=limit_s)
        connection.sock = dial_unix(self._node, self._path, limit_s)
        try:
            connection.request(method, path, headers={"Host": "engine"})
            answer = connection.getresponse()
            self._is_podman = (answer.getheader("Server") or "").startswith("Libpod")
            return answer.status, answer.read().decode(errors="replace")
        except TimeoutError as error:
            raise EngineTimeout(self._node, f"{self.title} did not answer in time; wanted to {action}") from error
        except (OSError, http.client.HTTPException) as error:
            raise EngineUnreachable(self._node, f"lost {self.title}; wanted to {action} ({error})") from error
        finally:
            connection.close()


def _container(one: dict[str, Any]) -> Found | None:
    name = (one.get("Names") or [one["Id"][:12]])[0].removeprefix("/")
    running = one.get("State") == "running"
    return read_marks(Kind.CONTAINER, one["Id"], name, one.get("Labels") or {}, running=running)


def _network(one: dict[str, Any]) -> Found | None:
    swarm = one.get("Scope") == "swarm"
    return read_marks(Kind.NETWORK, one["Id"], one["Name"], one.get("Labels") or {}, swarm=swarm)


def _what(error: Exception | None) -> str:
    return error.what if isinstance(error, NodeError) else str(error)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return text.strip() or "it gives no reason"
