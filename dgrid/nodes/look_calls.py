"""Calls of the engine's API that only looking into a run needs; each command makes its own connections for them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from dgrid.errors import EngineError, EngineNotFound
from dgrid.nodes.container_stream import AttachStream, LogStream, hijack
from dgrid.nodes.engine_http import BASE_URL, api_client, checked, our_errors
from dgrid.nodes.link import Stream
from dgrid.nodes.machine import Machine
from dgrid.plan.looking import Listed
from dgrid.plan.naming import (
    LABEL_CONTAINER,
    LABEL_INDEX,
    LABEL_JOB,
    LABEL_NODE,
    LABEL_NODES,
    LABEL_ROLE,
    LABEL_SESSION,
    LABEL_USER,
)

_CALL_S = 30.0
_ENDED = ("exited", "stopped", "dead")
# Some are Podman's words. One that is being stopped, or removed, may still run.
_STATES = dict.fromkeys(_ENDED, "exited") | {"configured": "created", "initialized": "created", "stopping": "running"}
_REFUSED = (b"OCI runtime exec failed", b"OCI runtime attempted")
_NOT_THERE = re.compile(rb"not found|no such file", re.IGNORECASE)
_EXEC_BODY = {False: b'{"Detach":false,"Tty":false}', True: b'{"Detach":false,"Tty":true}'}


def list_containers(machine: Machine, user: str | None) -> tuple[Listed, ...]:
    """The containers of runs of ``user`` (None: of everybody) on a machine, ended ones too. Raises EngineError."""
    label = LABEL_USER if user is None else f"{LABEL_USER}={user}"
    query = urlencode({"all": 1, "filters": json.dumps({"label": [LABEL_SESSION, label]})})
    with _client(machine) as client, our_errors(machine.name, "list the containers"):
        answer = checked(client.get(f"{BASE_URL}{_path(machine, f'/containers/json?{query}')}", timeout=_CALL_S))
        # By the node's own clock, as this machine's may differ.
        now_s = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        found = (_listed(machine, client, one, now_s) for one in answer.json())
        return tuple(one for one in found if one is not None)


def inspect(machine: Machine, container_id: str) -> Mapping[str, Any]:
    """All the engine knows of a container. Raises EngineNotFound."""
    with _client(machine) as client, our_errors(machine.name, "inspect the container"):
        return dict(client.inspect_container(container_id))


def read_stats(machine: Machine, container_id: str) -> Mapping[str, Any]:
    """The counters of a running container, as they are now. Raises EngineError."""
    with _client(machine) as client, our_errors(machine.name, "read what the container uses"):
        url = f"{BASE_URL}{_path(machine, f'/containers/{container_id}/stats?stream=false&one-shot=true')}"
        return dict(checked(client.get(url, timeout=_CALL_S)).json())


def check_counts(machine: Machine) -> None:
    """Raise EngineError where the engine's counters are not those of a container.

    Rootless Podman with cgroups v1 gives its containers no group of their own, and tells those of all the user's
    processes (4.3).
    """
    if machine.engine.info.rootless:
        with _client(machine) as client, our_errors(machine.name, "ask the engine about itself"):
            is_old = str(client.info().get("CgroupVersion")) == "1"
        if is_old:
            raise EngineError(
                machine.name, "rootless Podman cannot tell what a container uses on a node with cgroups v1"
            )


def open_log(machine: Machine, container_id: str, tail: int | None, follow: bool) -> LogStream:
    """What a worker wrote, all or the last ``tail`` lines, and, with ``follow``, what it writes. Raises EngineError."""
    lines = "all" if tail is None else tail
    query = urlencode({"stdout": 1, "stderr": 1, "follow": int(follow), "tail": lines})
    with our_errors(machine.name, "read the log"):
        return LogStream(machine.name, _dial(machine), _path(machine, f"/containers/{container_id}/logs?{query}"))


def attach(machine: Machine, container_id: str, tty: bool, stdin: bool) -> AttachStream:
    """What a running container writes from now on. With a terminal, ctrl-P ctrl-Q ends the stream."""
    query = {"stream": 1, "stdin": int(stdin), "stdout": 1, "stderr": 1, "detachKeys": "ctrl-p,ctrl-q"}
    with our_errors(machine.name, "attach to the container"):
        path = _path(machine, f"/containers/{container_id}/attach?{urlencode(query)}")
        return hijack(machine.name, _dial(machine), path, machine.link.half_close, tty)


def wait_for_end(machine: Machine, container_id: str) -> int:
    """The exit code, once the container has ended. Without a deadline. Raises EngineError."""
    with _client(machine) as client, our_errors(machine.name, "wait for the container"):
        return int(client.wait(container_id, timeout=None, condition="next-exit")["StatusCode"])


def stop(machine: Machine, container_id: str, grace_s: float) -> None:
    """Send its stop signal, and kill it when ``grace_s`` are over. No error if it is gone. Raises EngineError."""
    try:
        with _client(machine) as client, our_errors(machine.name, "stop the container"):
            client.stop(container_id, timeout=math.ceil(grace_s))
    except EngineError:
        # The run's own teardown may have been faster.
        with suppress(EngineNotFound):
            if inspect(machine, container_id)["State"]["Running"]:
                raise


class Refusal:
    """Notices an engine that says by the command's stdout that it cannot run it, and says so as well as newer ones.

    Docker before 28 tells 126 for a command that is not there, too.
    """

    def __init__(self) -> None:
        self.text = b""
        self._is_first = True

    def notices(self, data: bytes) -> bool:
        """Whether a piece of output is none, but such a message."""
        is_message = self._is_first and data.startswith(_REFUSED)
        self._is_first = False
        self.text += data if is_message else b""
        return is_message

    def exit_code(self, code: int) -> int:
        """126 for a command that cannot be run, 127 for one that is not there; else what it was."""
        return 127 if code == 126 and _NOT_THERE.search(self.text) else code


class Execution:
    """A command that runs in a container, its streams at ``attached``."""

    def __init__(self, machine: Machine, container_id: str, argv: tuple[str, ...], user: str, tty: bool, stdin: bool):
        self._machine = machine
        with _client(machine) as client, our_errors(machine.name, "run a command in the container"):
            made = client.exec_create(
                container_id, list(argv), stdin=stdin, tty=tty, user=user, detach_keys="ctrl-@,ctrl-@,ctrl-],ctrl-@"
            )
            self._id = str(made["Id"])
            path = _path(machine, f"/exec/{self._id}/start")
            self.attached = hijack(machine.name, _dial(machine), path, machine.link.half_close, tty, _EXEC_BODY[tty])

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal. Raises EngineError."""
        with _client(self._machine) as client, our_errors(self._machine.name, "resize the terminal"):
            client.exec_resize(self._id, height=rows, width=columns)

    def exit_code(self) -> int | None:
        """None while it runs. Raises EngineError."""
        found = self._inspect()
        return None if found["Running"] else int(found["ExitCode"] or 0)

    def signal(self, name: str) -> None:
        """Send a signal to the command and what it has started, as the user: the engine has no call for it.

        It leads a process group of its own (runc and crun see to that). Raises EngineError, LinkError.
        """
        found = self._inspect()
        if found["Running"] and (pid := int(found.get("Pid") or 0)):
            kill = f"kill -s {name.removeprefix('SIG')} --"
            self._machine.link.run(f"{kill} -{pid} || {kill} {pid}", _CALL_S)

    def _inspect(self) -> Mapping[str, Any]:
        with _client(self._machine) as client, our_errors(self._machine.name, "look how the command is"):
            return dict(client.exec_inspect(self._id))


def _listed(machine: Machine, client: Any, found: Mapping[str, Any], now_s: float) -> Listed | None:
    """None for one that has gone meanwhile."""
    labels, state = found["Labels"], str(found["State"])
    ended: Mapping[str, Any] = {}
    if state in _ENDED:
        try:
            with our_errors(machine.name, "inspect the container"):
                ended = client.inspect_container(found["Id"])["State"]
        except EngineNotFound:
            return None
    session = labels[LABEL_SESSION]
    index = labels.get(LABEL_INDEX, "")
    return Listed(
        machine=machine.name,
        container_id=found["Id"],
        node=labels.get(LABEL_NODE) or machine.name,
        name=found["Names"][0].removeprefix("/").removesuffix(f"-{session}"),
        container=labels.get(LABEL_CONTAINER, ""),
        index=int(index) if index.isdecimal() else 0,
        role=labels.get(LABEL_ROLE, ""),
        session=session,
        job=labels.get(LABEL_JOB, ""),
        user=labels.get(LABEL_USER, ""),
        nodes=labels.get(LABEL_NODES, ""),
        image=found["Image"],
        state=_STATES.get(state, state),
        age_s=max(0.0, now_s - float(found["Created"])),
        exit_code=int(ended["ExitCode"]) if ended else None,
        out_of_memory=bool(ended.get("OOMKilled")),
    )


@contextmanager
def _client(machine: Machine) -> Iterator[Any]:
    client = api_client(lambda limit_s: _dial(machine, limit_s), machine.engine.api_version, _CALL_S)
    try:
        yield client
    finally:
        client.close()


def _dial(machine: Machine, limit_s: float = _CALL_S) -> Stream:
    return machine.link.dial(machine.engine.socket_path, limit_s)


def _path(machine: Machine, path: str) -> str:
    return f"/v{machine.engine.api_version}{path}"
