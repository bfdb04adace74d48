"""The harness's connection to each node: one process there, asked in lines of JSON, for the whole of its life."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from dgrid.lab.execute import Command, start
from dgrid.lab.find import LabHost, find_lab
from dgrid.lab.machine import Machine

_SOURCES = Path(__file__).parent / "node"
_THERE = "/run/chaos"


class AgentError(Exception):
    """What the agent of a node could not do, in its own words."""


class Agent:
    """``agent.ask("signal_run", run="t7", name="KILL")``: the node's agent does it, and gives back a value.

    ``pause`` and ``unpause`` freeze the whole node from outside, its agent included.
    """

    def __init__(self, machine: Machine, host: LabHost) -> None:
        self.node = host.host
        self.address = host.address
        self._machine = machine
        self._container = host.container_id
        self._numbers = itertools.count(1)
        self._awaited: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        machine.client().put_archive(self._container, "/run", _archive())
        self._execution = start(machine, self._container, Command("root", ("python3", "-B", f"{_THERE}/agent.py")))
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, do: str, *, answer_s: float = 120, **arguments: Any) -> Any:
        """Have one of the agent's public methods called. Raises AgentError."""
        return self.order(do, **arguments).result(answer_s)

    def order(self, do: str, **arguments: Any) -> Future[Any]:
        """As ``ask``, without waiting for the answer."""
        number, future = next(self._numbers), Future[Any]()
        with self._lock:
            self._awaited[number] = future
            self._execution.send(json.dumps({"id": number, "do": do, **arguments}).encode() + b"\n")
        return future

    def put(self, tar: bytes, directory: str) -> None:
        """Unpack a tar on the node, in a directory that is made for it."""
        self.ask("shell", script=f"mkdir -p {directory}")
        self._machine.client().put_archive(self._container, directory, tar)

    def pause(self) -> None:
        """Freeze everything on the node."""
        self._machine.client().pause(self._container)

    def unpause(self) -> None:
        """Let it go on."""
        self._machine.client().unpause(self._container)

    def close(self) -> None:
        """End the agent, and what it has started."""
        self._execution.end_input()

    def _read(self) -> None:
        buffer = b""
        for kind, content in self._execution.output():
            if kind == 2:  # the agent's own failure; it is meant to be seen
                print(f"{self.node}: {content.decode(errors='replace')}", end="")
                continue
            *lines, buffer = (buffer + content).split(b"\n")
            for line in lines:
                self._answered(json.loads(line))
        for future in self._awaited.values():
            future.set_exception(AgentError(f"{self.node}: the agent has ended"))

    def _answered(self, reply: dict[str, Any]) -> None:
        with self._lock:
            future = self._awaited.pop(reply["id"])
        if "error" in reply:
            future.set_exception(AgentError(f"{self.node}: {reply['error']}"))
        else:
            future.set_result(reply["value"])


def agents_of(machine: Machine, lab: str, nodes: tuple[str, ...]) -> dict[str, Agent]:
    """An agent on each of the lab's nodes."""
    found = find_lab(machine, lab)
    return {node: Agent(machine, found.host(node)) for node in nodes}


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(_SOURCES.glob("*.py")):
            tar.add(path, f"{_THERE.rpartition('/')[2]}/{path.name}")
    return buffer.getvalue()
