"""What a run can leave on a node, read from the kernel and the file system; dgrid and the engine have no part in it.

Runs on the node. Every trace is a line of text, so that two looks can be compared as sets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CANARY = "CHAOS_TRIAL"
"""An environment variable that a trial's launcher and containers have, and nothing else; its value names the trial."""

_TRIAL_MARK = " of trial "
_STORE = Path("/var/lib/docker")
_TASKS = Path("/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby")
_DIRECTORIES = {
    "container": _STORE / "containers",
    "volume": _STORE / "volumes",
    "task": _TASKS,
    "scratch": Path("/tmp"),
    "link": Path("/sys/class/net"),
}
_PORT_FILES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTENING = "0A"
# The engine itself, which the harness kills and starts again.
_ENGINE = ("dockerd", "containerd", "runc", "exe")


@dataclass(frozen=True)
class Process:
    """A process: ``key`` tells it from a later one with the same number."""

    pid: int
    parent: int
    session: int
    start: str
    uid: int
    command: str
    trial: str

    @property
    def key(self) -> str:
        return f"{self.pid}@{self.start}"

    @property
    def line(self) -> str:
        return f"process {self.key} uid {self.uid} {self.command}" + (
            f"{_TRIAL_MARK}{self.trial}" if self.trial else ""
        )


class Processes:
    """Reads /proc cheaply: what does not change of a process is read once."""

    def __init__(self) -> None:
        self._known: dict[str, Process] = {}

    def now(self) -> dict[int, Process]:
        """All processes but zombies, by number."""
        found = {}
        for entry in os.listdir("/proc"):  # noqa: PTH208  # ten times a second
            if entry.isdigit() and (process := self._process(int(entry))) is not None:
                found[process.pid] = process
        self._known = {process.key: process for process in found.values()}
        return found

    def _process(self, pid: int) -> Process | None:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
                name, _, rest = file.read().decode(errors="replace").rpartition(")")
            state, parent, *fields = rest.split()
            key, session = f"{pid}@{fields[17]}", int(fields[1])
            if state in "ZX":
                return None
            known = self._known.get(key)
            # A process changes its command once, from what it was forked as; a short look later it is final.
            if known is not None and (known.parent, known.session, known.command) == (
                int(parent), session, _command(pid, name),
            ):  # fmt: skip
                return known
            return Process(pid, int(parent), session, fields[17], _uid(pid), _command(pid, name), _trial(pid))
        except (OSError, IndexError, ValueError):
            return None  # it has just ended


def _command(pid: int, stat_name: str) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
        text = file.read(600).replace(b"\0", b" ").decode(errors="replace").strip()
    return text or stat_name.partition("(")[2]


def _uid(pid: int) -> int:
    return os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116


def _trial(pid: int) -> str:
    with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
        return next((e[len(CANARY) + 1 :].decode() for e in file.read().split(b"\0") if e.startswith(_MARK)), "")


_MARK = f"{CANARY}=".encode()


def is_engine(process: Process) -> bool:
    """Whether it is the engine's own: its daemon, containerd, or the runtime at work for a moment."""
    return process.uid == 0 and Path(process.command.split(" ", 1)[0]).name in _ENGINE


def things() -> set[str]:
    """All traces that are not processes."""
    found = set()
    for kind, directory in _DIRECTORIES.items():
        try:
            found |= {f"{kind} {name}" for name in os.listdir(directory)}  # noqa: PTH208
        except FileNotFoundError:
            continue
    found |= set(_mounts()) | set(_ports())
    return found - {"volume metadata.db", "volume backingFsBlockDev"}


def _mounts() -> Iterator[str]:
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        yield from (f"mount {line.split()[1]}" for line in file)


def _ports() -> Iterator[str]:
    for name in _PORT_FILES:
        kind = name.rpartition("/")[2]
        with open(name, encoding="ascii") as file:  # noqa: PTH123
            next(file)
            for line in file:
                _, local, _, state, *_ = line.split()
                if state == _LISTENING:
                    yield f"port {kind} {local}"


def trial_of(trace: str) -> str:
    """The trial a container's trace belongs to, by its environment; "" if it cannot be told (any more)."""
    kind, _, name = trace.partition(" ")
    if kind != "container":
        return trace.partition(_TRIAL_MARK)[2]
    try:
        text = (_STORE / "containers" / name / "config.v2.json").read_text()
    except OSError:
        return ""
    _, mark, rest = text.partition(f'"{CANARY}=')
    return rest.partition('"')[0] if mark else ""
