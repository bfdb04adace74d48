"""Jobs for the tests: a definition and a node file in a directory of their own, run by dgrid as the lab's user."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import LABEL, Cluster, machine_engine

IMAGE = "debian:trixie-slim"
SESSION_LABEL = "io.dgrid.session"

_NUMBERS = itertools.count(1)


def head(*run_cmd: str, **keys: Any) -> dict[str, Any]:
    """The interactive container of a definition."""
    return {"name": "head", "interactive": True, "image": IMAGE, "run_cmd": list(run_cmd), **keys}


def worker(name: str, *run_cmd: str, **keys: Any) -> dict[str, Any]:
    """A worker; without a command it sleeps."""
    return {"name": name, "image": IMAGE, "run_cmd": list(run_cmd or ("sleep", "300")), **keys}


def shell(script: str) -> tuple[str, str, str]:
    """A command line for a bash script; its dollars are the shell's, not dgrid's."""
    return "bash", "-c", script.replace("$", "$$")


LISTENER = shell(
    "exec perl -MIO::Socket::INET -e '"
    "$s = IO::Socket::INET->new(LocalPort => 5000, Listen => 5, ReuseAddr => 1) or die; "
    "while ($c = $s->accept) { print $c `hostname`; close $c }'"
)
"""Says its host name to whoever connects to port 5000."""


def ask(host: str) -> str:
    """Shell words that print what the listener on ``host`` says."""
    return f"(exec 3<>/dev/tcp/{host}/5000; cat <&3)"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of dgrid ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


class Jobs:
    """Runs definitions on a lab, and looks on its engines for what is left, without dgrid."""

    def __init__(self, lab: Cluster, engine: str) -> None:
        self.lab = lab
        self.engine = engine

    def write(self, *containers: dict[str, Any], nodes: tuple[str, ...] = (), **keys: Any) -> str:
        """Puts a definition and a node file on the shared home; returns the options to run them."""
        directory = f"/home/alice/job{next(_NUMBERS)}"
        names = nodes or tuple(self.lab.nodes)
        definition = json.dumps({"containers": list(containers), **keys})
        files = (
            f"mkdir -p {directory} && cd {directory} && read -r nodes && printf '%s\\n' $nodes >nodes && cat >job.json"
        )
        self.lab.run(files, input=f"{' '.join(names)}\n{definition}".encode(), check=True)
        return f"--hostfile={directory}/nodes --dockdef={directory}/job.json"

    def run(
        self,
        *containers: dict[str, Any],
        options: str = "",
        nodes: tuple[str, ...] = (),
        stdin: bytes = b"",
        **keys: Any,
    ) -> Ended:
        """Runs a definition on the first node."""
        return self.dgrid(f"{self.write(*containers, nodes=nodes, **keys)} {options}", stdin)

    def dgrid(self, arguments: str, stdin: bytes = b"", before: str = "exec") -> Ended:
        """Runs dgrid on the first node with a command line, as the lab's user."""
        script = f"{before} dgrid {arguments}"
        done = self.lab.run(["bash", "-c", script], host=self.lab.nodes[0], input=stdin, timeout=120)
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    def run_at(self, script: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Runs a Python script of the tests on the first node: ``run_at(script, "SIGINT", "dgrid: text", options)``."""
        *others, options = arguments
        self.lab.write(script.name, script.read_text())
        argv = ["python3", script.name, *others, "dgrid", *options.split()]
        return self.lab.run(argv, host=self.lab.nodes[0], timeout=120)

    def left(self) -> list[str]:
        """What of any run is on any node: containers, networks, Podman's service, by the engines' own commands."""
        script = (
            f"({self.engine} ps -a --filter label={SESSION_LABEL} --format 'container {{{{.Names}}}}'; "
            f"{self.engine} network ls --filter label={SESSION_LABEL} --format 'network {{{{.Name}}}}'; "
            "pgrep -ax podman; ls -d /tmp/dgrid-*; true) 2>/dev/null"
        )
        # Straight into the node containers: many tests look, and this takes a tenth of the time of `lab run`.
        client = machine_engine()
        found = []
        for node in self.lab.nodes:
            marks = [f"{LABEL}={self.lab.name}", f"{LABEL}.host={node}"]
            (container,) = client.containers.list(filters={"label": marks})
            code, output = container.exec_run(["sh", "-c", script], user="alice", environment={"HOME": "/home/alice"})
            assert code == 0, output
            found += [f"{node}: {line}" for line in output.decode().splitlines()]
        return found

    def wait_gone(self, within_s: float) -> None:
        """Waits until nothing of any run is on any node."""
        deadline = time.monotonic() + within_s
        while left := self.left():
            assert time.monotonic() < deadline, left
            time.sleep(0.5)
