"""A lab for measurements, with what they run on its nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DGRID = (sys.executable, "-m", "dgrid")
IMAGE = "debian:trixie-slim"
_HERE = Path(__file__).parent
_PLACE = "/home/alice/bench"


@dataclass(frozen=True)
class Lab:
    """A running lab; its first node is where measurements are made, as its user."""

    name: str
    nodes: tuple[str, ...]

    def run(self, *argv: str, user: str = "alice", stdin: bytes = b"", timeout_s: float = 300) -> str:
        """What a command on the first node prints; raises with what it says when it fails."""
        command = [*DGRID, "lab", "run", "--name", self.name, "--as", user, "--on", self.nodes[0], "--", *argv]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout_s, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stderr.decode()}")
        return done.stdout.decode()

    def measure(self, program: str, *arguments: str, timeout_s: float = 300) -> Any:
        """What ``on_node/program`` found, which is the last line it prints.

        Once more where it fails, which is told: one start of some thousands does, in the runtime.
        """
        command = ("python3", f"{_PLACE}/{program}", *arguments)
        try:
            found = self.run(*command, timeout_s=timeout_s)
        except RuntimeError as error:
            print(f"bench: once more, as it failed: {error}", file=sys.stderr, flush=True)
            found = self.run(*command, timeout_s=timeout_s)
        return json.loads(found.splitlines()[-1])


@contextmanager
def running_lab(node_count: int, name: str | None = None) -> Iterator[Lab]:
    """A lab of its own, or the running one of that name, with the image there and this checkout's dgrid."""
    lab = Lab(name or f"bench{node_count}", tuple(f"node{number}" for number in range(1, node_count + 1)))
    _dgrid("update" if name else "up", lab.name, *(() if name else ("--nodes", str(node_count), "-q")))
    try:
        # As an installed dgrid is: else each run compiles it, as its user may not write there.
        lab.run("python3", "-m", "compileall", "-q", "/opt/dgrid/lib", user="root")
        _dgrid("load", lab.name, IMAGE)
        for file in sorted((_HERE / "on_node").glob("*.py")):
            lab.run("sh", "-c", f"mkdir -p {_PLACE} && cat >{_PLACE}/{file.name}", stdin=file.read_bytes())
        yield lab
    finally:
        if not name:
            _dgrid("down", lab.name)


def _dgrid(verb: str, lab: str, *arguments: str) -> None:
    subprocess.run([*DGRID, "lab", verb, "--name", lab, *arguments], check=True, stdout=sys.stderr)
