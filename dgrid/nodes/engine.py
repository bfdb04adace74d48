"""What dgrid asks of a container engine on one node, and what the engine answers, whichever engine it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from dgrid.nodes.container_stream import AttachStream, EventStream, LogStream
from dgrid.nodes.engine_calls import EngineCalls
from dgrid.plan.facts import EngineKind
from dgrid.plan.request import CreateRequest, FileToPlace, NetworkRequest
from dgrid.record import record


@record
class EngineInfo:
    """What an engine says of itself. ``swarm_managers`` is empty where it is in no active swarm.

    ``cgroup_driver`` is "cgroupfs", "systemd" or "none", ``cgroup_version`` "1" or "2"; empty if it does not say.
    """

    kind: EngineKind
    version: str
    rootless: bool
    has_init: bool
    architecture: str
    swarm_managers: frozenset[str]
    is_manager: bool
    cgroup_driver: str = ""
    cgroup_version: str = ""


@record
class ContainerState:
    """A container as its engine sees it. ``exit_code`` is None while it has not ended; ``pid`` 0 when it has.

    ``finished_at`` is the time of its last end, in the engine's words.
    """

    container_id: str
    name: str
    running: bool
    exit_code: int | None
    pid: int
    out_of_memory: bool
    error: str
    finished_at: str = ""


class Engine(Protocol):
    """The container engine on one node. Safe between threads. Every call has a deadline and raises EngineError."""

    node: str
    info: EngineInfo
    socket_path: str
    api_version: str
    calls: EngineCalls

    def inspect_image(self, reference: str) -> Mapping[str, Any]:
        """All the engine knows of an image, in the words of its API. Raises EngineNotFound."""

    def create_network(self, request: NetworkRequest) -> None:
        """Make a network; it exists when this returns."""

    def create(self, request: CreateRequest) -> str:
        """Create a container, without its files, and not started; returns its id."""

    def read_file(self, container_id: str, path: str) -> bytes | None:
        """A file of a created container; None if there is none. Only for small ones."""

    def place(self, container_id: str, files: Iterable[FileToPlace], user: str) -> None:
        """Put files into a created container, for ``user`` ("uid:gid") as far as they are not root's."""

    def start(self, container_id: str) -> None:
        """Start a container. Starting a running one is no error."""

    def state(self, container_id: str) -> ContainerState:
        """How it is. Raises EngineNotFound."""

    def attach(self, container_id: str, tty: bool, stdin: bool) -> AttachStream:
        """Its stdout and stderr, and its stdin if asked for: from the first byte on, when called before the start."""

    def resize(self, container_id: str, rows: int, columns: int) -> None:
        """Set the size of its terminal."""

    def kill(self, container_id: str, signal: str) -> None:
        """Send a signal ("SIGTERM"). No error if it has ended or is gone."""

    def execute(self, container_id: str, command: tuple[str, ...], user: str, timeout_s: float) -> int:
        """Run a command inside it and return the exit code. Its output is not kept."""

    def tail(self, container_id: str, lines: int) -> str:
        """The last lines it wrote to stdout and stderr."""

    def follow_log(self, container_id: str) -> LogStream:
        """What it wrote so far and writes from now on."""

    def events(self, labels: Mapping[str, str]) -> EventStream:
        """The ends of containers that carry these labels, from now on."""

    def containers(self, labels: Mapping[str, str], running_only: bool = False) -> tuple[str, ...]:
        """Ids of the containers with all of these labels."""

    def remove(self, container_id: str) -> None:
        """Kill and remove it with its anonymous volumes. No error if it is gone."""

    def networks(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Names of the networks with all of these labels."""

    def remove_network(self, name: str) -> None:
        """Remove a network that nothing is connected to any more."""

    def refuse_creates(self, patience_s: float) -> bool:
        """From now on no create or start leaves this machine; true if one is still unanswered after ``patience_s``."""

    def close(self) -> None:
        """Give up all connections."""
