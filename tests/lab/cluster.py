"""A real lab for tests, and a look into its engines that does not go by way of dgrid."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import docker

DGRID = (sys.executable, "-m", "dgrid")
LABEL = "io.dgrid.lab"
KEPT = ("--label", "io.dgrid.demo=yes")  # images that stay for the next time; `make clean` removes them


def dgrid(*arguments: str, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs dgrid on this machine; its exit code and output."""
    return subprocess.run(
        [*DGRID, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def machine_engine() -> docker.DockerClient:
    """The engine labs are built on."""
    return docker.DockerClient(base_url=os.environ.get("DOCKER_HOST") or "unix:///run/docker.sock", timeout=60)


@dataclass(frozen=True)
class JobEnd:
    """How a job ended: Slurm's word (COMPLETED, FAILED, CANCELLED, TIMEOUT), exit code and signal."""

    state: str
    exit_code: int
    signal: int


@dataclass(frozen=True)
class NodeEngine:
    """What a node's dockerd has, by its own command line. ``label`` is ``name`` or ``name=value``."""

    lab: str
    host: str

    def containers(self, label: str | None = None) -> list[str]:
        """The names of all containers, stopped ones too."""
        return self._names("ps", "--all", "--format", "{{.Names}}", *_filter(label))

    def networks(self, label: str | None = None) -> list[str]:
        """The names of the networks somebody made."""
        return self._names("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom", *_filter(label))

    def volumes(self, label: str | None = None) -> list[str]:
        """The names of all volumes."""
        return self._names("volume", "ls", "--format", "{{.Name}}", *_filter(label))

    def image_id(self, image: str) -> str:
        """The image's id, "" if the node does not have it."""
        return "".join(self._names("image", "inspect", "--format", "{{.Id}}", image, check=False))

    def _names(self, *argv: str, check: bool = True) -> list[str]:
        client = machine_engine()
        (container,) = client.containers.list(filters={"label": [f"{LABEL}={self.lab}", f"{LABEL}.host={self.host}"]})
        code, (out, err) = container.exec_run(["docker", *argv], demux=True)
        assert code == 0 or not check, f"{self.host}: docker {' '.join(argv)}: {(err or b'').decode()}"
        return sorted((out or b"").decode().split())


@dataclass(frozen=True)
class Cluster:
    """A running lab. Without ``user`` it is the lab's own ordinary user who acts (alice when root runs the tests)."""

    name: str
    nodes: tuple[str, ...]

    def run(
        self,
        command: Sequence[str] | str,
        *,
        user: str | None = None,
        host: str = "front",
        input: bytes | None = None,  # noqa: A002  # the word of subprocess.run
        timeout: float = 60,
        check: bool = False,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs an argv, or a bash script, on a host of the lab; with ``check`` a failure fails the test."""
        argv = ["bash", "-c", command] if isinstance(command, str) else list(command)
        who = ["--as", user] if user else []
        done = subprocess.run(
            [*DGRID, "lab", "run", "--name", self.name, *who, "--on", host, "--", *argv],
            input=input or b"",
            capture_output=True,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stderr.decode()}"
        return done

    def text(self, command: Sequence[str] | str, *, user: str | None = None, host: str = "front") -> str:
        """What a command that must succeed prints, without the last line's end."""
        return self.run(command, user=user, host=host, check=True).stdout.decode().rstrip("\n")

    def write(self, path: str, text: str | bytes, *, user: str | None = None, host: str = "front") -> None:
        """Writes a file as that user; a relative path begins at the user's home."""
        content = text.encode() if isinstance(text, str) else text
        self.run('mkdir -p "$(dirname "$0")" && cat > "$0"'.replace("$0", path), user=user, host=host, input=content,
                 check=True)  # fmt: skip

    def engine(self, host: str) -> NodeEngine:
        """That node's dockerd, asked without dgrid."""
        return NodeEngine(self.name, host)

    def load(self, *images: str) -> None:
        """Copies images of this machine's engine to all nodes."""
        done = dgrid("lab", "load", "--name", self.name, *images)
        assert done.returncode == 0, done.stderr

    def update(self) -> None:
        """Copies this checkout's dgrid into the lab; done once when the tests start."""
        done = dgrid("lab", "update", "--name", self.name)
        assert done.returncode == 0, done.stderr

    def qsub(self, script: str, *options: str, user: str | None = None, name: str = "job.sh") -> str:
        """Submits a job script from a new directory in the user's home; its job id. ``submitted_from`` names it."""
        directory = f"jobs/{time.time_ns()}"
        self.write(f"{directory}/{name}", script, user=user)
        argv = " ".join(["qsub", *options, name])
        return self.text(f"cd {directory} && {argv}", user=user)

    def submitted_from(self, job: str) -> str:
        """The directory a job was submitted from, where its output files are."""
        return self._job(job)["WorkDir"]

    def wait_idle(self, timeout_s: float = 60) -> None:
        """Until Slurm has all nodes free: a job gets the first ones then.

        Not by ``sinfo --states idle``: it lists nodes whose last job is still completing, which a job does not get.
        """
        deadline = time.monotonic() + timeout_s
        while self.text("sinfo -h -N -o %T").split() != ["idle"] * len(self.nodes):
            assert time.monotonic() < deadline, "not all nodes are idle"
            time.sleep(0.5)

    def wait_job(self, job: str, timeout: float = 60) -> JobEnd:
        """Waits until the job has ended and its output is there."""
        deadline = time.monotonic() + timeout
        while (facts := self._job(job))["JobState"] in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING"):
            assert time.monotonic() < deadline, f"job {job} is still {facts['JobState']} after {timeout} s"
            time.sleep(0.2)
        code, signal = facts["ExitCode"].split(":")
        return JobEnd(facts["JobState"], int(code), int(signal))

    def _job(self, job: str) -> dict[str, str]:
        text = self.text(["scontrol", "show", "job", job])
        return dict(re.findall(r"(\w+)=(\S*)", text))


def running_lab(name: str, nodes: int, variable: str, *options: str) -> Iterator[Cluster]:
    """A lab for the session; ``variable`` in the environment names one that runs already, and is left running."""
    running = os.environ.get(variable)
    cluster = Cluster(running or f"{name}{os.getpid()}", tuple(f"node{number}" for number in range(1, nodes + 1)))
    if running:
        cluster.update()
        yield cluster
        return
    started = dgrid("lab", "up", "--name", cluster.name, "--nodes", str(nodes), *options, timeout=900)
    assert started.returncode == 0, started.stderr
    try:
        yield cluster
    finally:
        removed = dgrid("lab", "down", "--name", cluster.name)
        assert removed.returncode == 0, removed.stderr


def _filter(label: str | None) -> tuple[str, ...]:
    return ("--filter", f"label={label}") if label else ()
