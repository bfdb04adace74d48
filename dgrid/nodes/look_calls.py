"""Calls of the engine's API that only looking into a run needs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from dgrid.errors import EngineError, EngineNotFound
from dgrid.nodes.container_stream import AttachStream, LogStream, hijack
from dgrid.nodes.engine_calls import EngineCalls, our_own_errors
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
    filters = json.dumps({"label": [LABEL_SESSION, label]})
    path = _path(machine, "/containers/json")
    found = machine.engine.calls.get(path, "list the containers", all=1, filters=filters)
    if not found:
        return ()
    # By the node's own clock, as this machine's may differ.
    now_s = _seconds(_info(machine)["SystemTime"])
    listed = (_listed(machine, one, now_s) for one in found)
    return tuple(one for one in listed if one is not None)


def inspect(machine: Machine, container_id: str) -> Mapping[str, Any]:
    """All the engine knows of a container. Raises EngineNotFound."""
    return dict(machine.engine.calls.get(_path(machine, f"/containers/{container_id}/json"), "inspect the container"))


def read_stats(machine: Machine, container_id: str) -> Mapping[str, Any]:
    """The counters of a running container, as they are now. Raises EngineError."""
    path, query = _path(machine, f"/containers/{container_id}/stats"), {"stream": "false", "one-shot": "true"}
    return dict(machine.engine.calls.get(path, "read what the container uses", **query))


def check_counts(machine: Machine) -> None:
    """Raise EngineError where the engine's counters are not those of a container.

    Rootless Podman with cgroups v1 gives its containers no group of their own, and tells those of all the user's
    processes (4.3).
    """
    if machine.engine.info.rootless and machine.engine.info.cgroup_version == "1":
        raise EngineError(machine.name, "rootless Podman cannot tell what a container uses on a node with cgroups v1")


def open_log(machine: Machine, container_id: str, tail: int | None, follow: bool) -> LogStream:
    """What a worker wrote, all or the last ``tail`` lines, and, with ``follow``, what it writes. Raises EngineError."""
    lines = "all" if tail is None else tail
    query = urlencode({"stdout": 1, "stderr": 1, "follow": int(follow), "tail": lines})
    with our_own_errors(machine.name, "read the log"):
        return LogStream(machine.name, _dial(machine), _path(machine, f"/containers/{container_id}/logs?{query}"))


def attach(machine: Machine, container_id: str, tty: bool, stdin: bool) -> AttachStream:
    """What a running container writes from now on. With a terminal, ctrl-P ctrl-Q ends the stream."""
    query = {"stream": 1, "stdin": int(stdin), "stdout": 1, "stderr": 1, "detachKeys": "ctrl-p,ctrl-q"}
    with our_own_errors(machine.name, "attach to the container"):
        path = _path(machine, f"/containers/{container_id}/attach?{urlencode(query)}")
        return hijack(machine.name, _dial(machine), path, machine.link.half_close, tty)


def wait_for_end(machine: Machine, container_id: str) -> int:
    """The exit code, once the container has ended. Without a deadline. Raises EngineError."""
    with closing(_patient_calls(machine)) as calls:
        path = _path(machine, f"/containers/{container_id}/wait")
        return int(calls.post(path, "wait for the container", condition="next-exit")["StatusCode"])


def stop(machine: Machine, container_id: str, grace_s: float) -> None:
    """Send its stop signal, and kill it when ``grace_s`` are over. No error if it is gone. Raises EngineError."""
    try:
        with closing(_patient_calls(machine, _CALL_S + grace_s)) as calls:
            calls.post(_path(machine, f"/containers/{container_id}/stop"), "stop the container", t=math.ceil(grace_s))
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
        wanted = "run a command in the container"
        body = {"AttachStdin": stdin, "AttachStdout": True, "AttachStderr": True, "Tty": tty, "Cmd": list(argv)}
        body |= {"User": user, "DetachKeys": "ctrl-@,ctrl-@,ctrl-],ctrl-@"}
        made = machine.engine.calls.post(_path(machine, f"/containers/{container_id}/exec"), wanted, body)
        self._id = str(made["Id"])
        with our_own_errors(machine.name, wanted):
            path = _path(machine, f"/exec/{self._id}/start")
            self.attached = hijack(machine.name, _dial(machine), path, machine.link.half_close, tty, _EXEC_BODY[tty])

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal. Raises EngineError."""
        path = _path(self._machine, f"/exec/{self._id}/resize")
        self._machine.engine.calls.post(path, "resize the terminal", h=rows, w=columns)

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
        path = _path(self._machine, f"/exec/{self._id}/json")
        return dict(self._machine.engine.calls.get(path, "look how the command is"))


def _listed(machine: Machine, found: Mapping[str, Any], now_s: float) -> Listed | None:
    """None for one that has gone meanwhile."""
    labels, state = found["Labels"], str(found["State"])
    ended: Mapping[str, Any] = {}
    if state in _ENDED:
        try:
            ended = inspect(machine, found["Id"])["State"]
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


def _info(machine: Machine) -> Mapping[str, Any]:
    return dict(machine.engine.calls.get(_path(machine, "/info"), "ask the engine about itself"))


def _seconds(time: str) -> float:
    """Of the engine's own clock, which tells nanoseconds."""
    return datetime.fromisoformat(re.sub(r"\.\d+", "", time)).timestamp()


def _patient_calls(machine: Machine, limit_s: float | None = None) -> EngineCalls:
    """For one call that may take that long; None: without a deadline."""

    def dial(_limit_s: float) -> Stream:
        stream = _dial(machine)
        stream.settimeout(limit_s)
        return stream

    return EngineCalls(machine.name, dial, _CALL_S)


def _dial(machine: Machine) -> Stream:
    return machine.link.dial(machine.engine.socket_path, _CALL_S)


def _path(machine: Machine, path: str) -> str:
    return f"/v{machine.engine.api_version}{path}"
