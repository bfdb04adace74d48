"""Time, CPU and memory of dgrid against the number of nodes, 1 to 4,096, with simulated nodes (simulated.py).

    .venv/bin/python bench/scale.py [--nodes 1,16,256] [--per-node 1] [--slow 0.01] [--dead 0] [--bare]

As root: it makes namespaces of its own (network, mounts), in which the nodes have names, and dgrid an ordinary user.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_UID = 2001
LATENCIES_S = {
    "version": 0.002, "info": 0.012, "image": 0.002, "create": 0.04, "file": 0.015, "put": 0.02, "start": 0.25,
    "inspect": 0.002, "list": 0.002, "kill": 0.01, "remove": 0.06,
}  # fmt: skip
"""About what each call took on a node of a lab on 2 cores, once and by hand; the same for all sizes."""


@dataclass(frozen=True)
class Scaled:
    """One run: seconds to the head's first byte and to dgrid's end, and what dgrid's process took.

    Of paramiko alone: seconds until all has been asked, and to the end.
    """

    nodes: int
    containers: int
    slow: int
    dead: int
    start_s: float | None
    whole_s: float
    cpu_s: float
    memory_bytes: int
    exit_code: int
    said: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", default="1,4,16,64,256,1024")
    parser.add_argument("--per-node", type=int, default=1)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--dead", type=float, default=0.0)
    parser.add_argument("--bare", action="store_true", help="paramiko alone, in place of dgrid")
    parser.add_argument("--latencies", type=Path, help="a JSON object with others than LATENCIES_S")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        os.execvp("unshare", ["unshare", "--net", "--mount", "--", sys.executable, __file__, *sys.argv[1:], "--inside"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    latencies = json.loads(options.latencies.read_text()) if options.latencies else LATENCIES_S
    for count in map(int, options.nodes.split(",")):
        with tempfile.TemporaryDirectory(prefix="bench.") as directory:
            cluster = Simulated(Path(directory), count, options.slow, options.dead, latencies)
            print(json.dumps(asdict(cluster.run(options.per_node, options.bare))), flush=True)


class Simulated:
    """So many nodes, the first of which is this machine."""

    def __init__(self, directory: Path, count: int, slow: float, dead: float, latencies: dict[str, float]) -> None:
        self._directory = directory
        self._names = [socket.gethostname(), *(f"n{number:04d}" for number in range(1, count))]
        addresses = [
            f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}" for number in range(1, count)
        ]
        self._slow, self._dead = _every(addresses, slow), _every(addresses[1:], dead)
        directory.chmod(0o755)
        home = directory / "home"
        (home / ".ssh").mkdir(parents=True)
        for file in ("host", "home/.ssh/id_ed25519"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / file)], check=True)
        host_key = " ".join((directory / "host.pub").read_text().split()[:2])
        (home / ".ssh/known_hosts").write_text(f"n* {host_key}\n")
        subprocess.run(["chown", "-R", f"{_UID}:{_UID}", str(home)], check=True)
        self._bind("/etc/passwd", f"{Path('/etc/passwd').read_text()}bench:x:{_UID}:{_UID}::{home}:/bin/sh\n")
        self._bind("/etc/group", f"{Path('/etc/group').read_text()}bench:x:{_UID}:\n")
        named = zip(self._names[1:], addresses, strict=True)
        self._bind("/etc/hosts", "127.0.0.1 localhost\n" + "".join(f"{one} {name}\n" for name, one in named))
        self._settings: dict[str, Any] = {
            "latencies_s": latencies, "uid": _UID, "slow": self._slow, "dead": self._dead,
            "host_key": str(directory / "host"), "authorized_keys": str(home / ".ssh/id_ed25519.pub"),
            "socket": str(directory / "engine.sock"),
        }  # fmt: skip

    def _bind(self, path: str, text: str) -> None:
        file = self._directory / Path(path).name
        file.write_text(text)
        subprocess.run(["mount", "--bind", str(file), path], check=True)

    def run(self, per_node: int, is_bare: bool = False) -> Scaled:
        (self._directory / "settings.json").write_text(json.dumps(self._settings))
        (self._directory / "nodes").write_text("".join(f"{name}\n" * per_node for name in self._names))
        containers = per_node * len(self._names)
        parts: list[dict[str, Any]] = [{"name": "head", "interactive": True, "image": "sim", "run_cmd": ["true"]}]
        if containers > 1:
            parts.append({"name": "w", "image": "sim", "run_cmd": ["true"], "scale": containers - 1})
        (self._directory / "job.json").write_text(json.dumps({"containers": parts}))
        server = subprocess.Popen(
            [sys.executable, str(_HERE / "simulated.py"), str(self._directory / "settings.json")],
            stdout=subprocess.PIPE,
        )
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == b"ready\n"
            return self._timed(containers, self._bare() if is_bare else self._dgrid())
        finally:
            server.kill()
            server.wait()
            for path in ("/etc/hosts", "/etc/group", "/etc/passwd"):
                subprocess.run(["umount", path], check=True)

    def _dgrid(self) -> list[str]:
        return [
            "-m", "dgrid", f"--hostfile={self._directory}/nodes", f"--dockdef={self._directory}/job.json",
            f"--engine-socket={self._directory}/engine.sock",
        ]  # fmt: skip

    def _bare(self) -> list[str]:
        return [str(_HERE / "bare_paramiko.py"), *self._names[1:]]

    def _timed(self, containers: int, program: list[str]) -> Scaled:
        argv = [
            "setpriv", f"--reuid={_UID}", f"--regid={_UID}", "--clear-groups", "--",
            "env", "-i", "PATH=/usr/bin:/bin", sys.executable, *program,
        ]  # fmt: skip
        with (self._directory / "said").open("w+") as said:
            began = time.monotonic()
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, cwd="/")
            assert process.stdout is not None
            first = process.stdout.read(1)
            start_s = time.monotonic() - began if first else None
            _, status, usage = os.wait4(process.pid, 0)
            whole_s = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            lines = tuple(re.sub(r"\s+", " ", line)[:300] for line in said)
        return Scaled(
            len(self._names), containers, len(self._slow), len(self._dead), start_s, whole_s,
            usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, process.returncode, lines,
        )  # fmt: skip


def _every(addresses: list[str], share: float) -> list[str]:
    """Evenly spread, and at least one where any is wanted."""
    count = max(1, round(share * len(addresses))) if share and addresses else 0
    return addresses[:: max(1, len(addresses) // count)][:count] if count else []


if __name__ == "__main__":
    main()
