"""Faults of nodes, made to happen in the lab, and a run that is looked at while they do."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from cluster import DGRID, LABEL, Cluster, machine_engine
from docker.models.containers import Container
from jobs import SESSION_LABEL, Ended, Jobs, head, shell, worker

SHORT_S = 6
SHORT = f"lease_s = {SHORT_S}\nheartbeat_s = 1"
"""Settings with a short lease."""
LEASH = "^sh -c .* dgrid-leash "
COUNTING = shell("trap 'exit 3' USR2; trap 'exit 0' USR1; for ((i = 1;; i++)); do echo $i; sleep 0.1; done")
"""A head that counts, talks to nobody, and ends when it gets a signal."""
CUT = "for c in INPUT OUTPUT; do for p in s d; do iptables -{} $c -p tcp --${{p}}port 22 -j DROP; done; done"


def counting(**keys: Any) -> dict[str, Any]:
    """The head that counts."""
    return head(*COUNTING, stop_grace_s=0, **keys)


def sleepers(number: int = 3, **keys: Any) -> dict[str, Any]:
    """Workers that sleep, one a node; ``w-1`` is on the second node."""
    return worker("w", "sleep", "1234", scale=number, stop_grace_s=0, **keys)


def host(lab: Cluster, node: str) -> Container:
    """The container that is a node of the lab."""
    (found,) = machine_engine().containers.list(filters={"label": [f"{LABEL}={lab.name}", f"{LABEL}.host={node}"]})
    return found


def as_root(lab: Cluster, node: str, script: str) -> str:
    """What a script prints that root runs on a node."""
    code, output = host(lab, node).exec_run(["bash", "-c", script])
    assert code == 0, output.decode()
    return str(output.decode())


def leashes(lab: Cluster, node: str) -> list[int]:
    """The processes of leashes on a node, the main one first."""
    return [int(pid) for pid in as_root(lab, node, f"pgrep -f '{LEASH}' || true").split()]


def has_sleepers(lab: Cluster, node: str) -> bool:
    """Whether a sleeping worker's process is on a node, whatever the engine there may say."""
    return bool(as_root(lab, node, "pgrep -fx 'sleep 1234' || true"))


def wait_until(what: Callable[[], bool], within_s: float, since: float | None = None) -> float:
    """Waits until something is so, at most so long after ``since`` (now); the seconds that it took."""
    begin = time.monotonic() if since is None else since
    while not what():
        assert time.monotonic() - begin < within_s, f"not so within {within_s} s"
        time.sleep(0.2)
    return time.monotonic() - begin


@contextmanager
def partitioned(lab: Cluster, *nodes: str) -> Iterator[float]:
    """Within it nobody reaches the nodes by ssh, nor they others. Gives the time at which that began."""
    try:
        for node in nodes:
            as_root(lab, node, CUT.format("I"))
        yield time.monotonic()
    finally:
        for node in nodes:
            as_root(lab, node, CUT.format("D"))


@contextmanager
def frozen(lab: Cluster, node: str) -> Iterator[float]:
    """Within it nothing moves on the node."""
    host(lab, node).pause()
    try:
        yield time.monotonic()
    finally:
        host(lab, node).unpause()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of output, and when it came."""

    text: str
    at: float


class Reader(threading.Thread):
    """Keeps the lines of a stream."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.lines: list[Line] = []
        self._stream = stream
        self.start()

    def run(self) -> None:
        for line in self._stream:
            self.lines.append(Line(line.decode().rstrip("\n"), time.monotonic()))

    def find(self, text: str) -> Line | None:
        return next((line for line in self.lines if text in line.text), None)


class Watched:
    """A run of dgrid on the first node, under way."""

    def __init__(self, jobs: Jobs, *containers: dict[str, Any], settings: str = "", options: str = "", **keys: Any):
        self.jobs = jobs
        arguments = jobs.write(*containers, **keys)
        self.directory = arguments.split("--dockdef=")[1].removesuffix("/job.json")
        jobs.lab.write(f"{self.directory}/config/dgrid/config.toml", f"[nodes]\n{settings}\n")
        script = (
            f"echo $$ >{self.directory}/pid; export XDG_CONFIG_HOME={self.directory}/config; "
            f"exec dgrid {arguments} {options}"
        )
        run = [*DGRID, "lab", "run", "--name", jobs.lab.name, "--on", jobs.lab.nodes[0], "--", "bash", "-c", script]
        self._begin = time.monotonic()
        self._process = subprocess.Popen(run, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.out, self.err = Reader(self._process.stdout), Reader(self._process.stderr)

    def said(self, text: str, within_s: float = 60, since: float | None = None) -> float:
        """Waits until dgrid says something; the seconds since ``since`` (now) that it took."""
        return self._wait(self.err, text, within_s, since)

    def printed(self, text: str, within_s: float = 60, since: float | None = None) -> float:
        """Waits until the head prints something; the seconds since ``since`` (now) that it took."""
        return self._wait(self.out, text, within_s, since)

    def _wait(self, reader: Reader, text: str, within_s: float, since: float | None) -> float:
        begin = time.monotonic() if since is None else since
        while (line := reader.find(text)) is None:
            over = time.monotonic() - begin
            assert self._process.poll() is None or over < 2, f"ended without {text!r}: {self.heard()}"
            assert over < within_s, f"no {text!r} within {within_s} s: {self.heard()}"
            time.sleep(0.05)
        assert line.at - begin < within_s, f"{text!r} came after {line.at - begin} s"
        return line.at - begin

    def goes_on(self) -> bool:
        """Whether the head prints something new within two seconds."""
        before = len(self.out.lines)
        time.sleep(2)
        return len(self.out.lines) > before

    def signal(self, name: str) -> None:
        """Sends dgrid a signal."""
        self.jobs.lab.run(f"kill -{name} $(cat {self.directory}/pid)", host=self.jobs.lab.nodes[0], check=True)

    def signal_head(self, name: str, engine: str = "docker") -> None:
        """Sends the head container a signal, not by way of dgrid."""
        find = f"{engine} ps -qf label={SESSION_LABEL} -f label=io.dgrid.role=head"
        as_root(self.jobs.lab, self.jobs.lab.nodes[0], f"{engine} kill -s {name} $({find})")

    def end(self, within_s: float = 60) -> Ended:
        """Waits for its end."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the run does not end within {within_s} s: {self.heard()}") from None
        self.out.join(5)
        self.err.join(5)
        out = "".join(f"{line.text}\n" for line in self.out.lines)
        return Ended(self._process.returncode, out.encode(), "".join(f"{line.text}\n" for line in self.err.lines))

    def heard(self) -> str:
        """What dgrid has said so far, and the last that the head has printed."""
        lines = [*self.out.lines[-3:], *self.err.lines]
        return "\n".join(["", *(f"{line.at - self._begin:5.1f} {line.text}" for line in lines)])

    def stop(self) -> None:
        """Whatever happened, it is not left running."""
        if self._process.poll() is None:
            self.jobs.lab.run(f"kill -CONT $(cat {self.directory}/pid); kill -KILL $(cat {self.directory}/pid)",
                              host=self.jobs.lab.nodes[0])  # fmt: skip
            self._process.wait(30)


@contextmanager
def watched(jobs: Jobs, *containers: dict[str, Any], **keys: Any) -> Iterator[Watched]:
    """A run under way, which has ended when this is left; see Watched for ``settings`` and ``options``."""
    run = Watched(jobs, *containers, **keys)
    try:
        yield run
    finally:
        run.stop()


def has_no_gap(ended: Ended) -> bool:
    """Whether the head's counting came whole."""
    numbers = [int(line) for line in ended.text.split()]
    return numbers == list(range(1, len(numbers) + 1))
