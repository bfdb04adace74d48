"""What a command costs before it does anything: the whole process, against python importing what it needs."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import Figure, number

_ROUNDS = 15
_USUAL = Path(__file__).resolve().parents[1] / "examples/pbs/mail-relays/mail-relays.json"
_DGRID = str(Path(sys.executable).with_name("dgrid"))


def measure(say: Callable[[str], None]) -> tuple[list[Figure], dict[str, Any]]:
    """The figures, and all times they are from."""
    say("commands")
    with tempfile.TemporaryDirectory(prefix="bench.") as directory:
        small, large = _definition(Path(directory), 1, 1), _definition(Path(directory), 500, 100)
        full = _definition(Path(directory), 16384, 4096)
        argvs = {
            "python": [sys.executable, "-c", ""],
            "click": [sys.executable, "-c", "import click"],
            "click and jsonschema": [sys.executable, "-c", "import click, jsonschema"],
            "--version": [_DGRID, "--version"],
            "validate": [_DGRID, "validate", str(_USUAL)],
            "plan, 1 container": [_DGRID, "plan", *small],
            "plan, 500 containers": [_DGRID, "plan", *large],
        }
        taken = _rounds(argvs)
        fewer = _definition(Path(directory), 8192, 2048)
        pairs = [(_once([_DGRID, "plan", *full]), _once([_DGRID, "plan", *fewer])) for _ in range(3)]
        taken["plan, 16,384 on 4,096 nodes"], half = ([*runs] for runs in zip(*pairs, strict=True))
    wall = {name: statistics.median(one["wall_s"] for one in runs) for name, runs in taken.items()}
    memory = {name: max(one["memory_bytes"] for one in runs) / 1e6 for name, runs in taken.items()}
    huge = "plan, 16,384 on 4,096 nodes"
    doubled = wall[huge] / statistics.median(one["wall_s"] for one in half)
    from_python = f"bare python {1000 * wall['python']:.0f} ms"
    figures = [
        Figure("command", "--version, of python importing click", wall["--version"] / wall["click"], "", 1.3,
               detail=f"{1000 * wall['--version']:.0f} ms, {1000 * wall['click']:.0f} ms; {from_python}"),
        Figure("command", "validate of a usual file", 1000 * wall["validate"], "ms", 200,
               detail=f"{memory['validate']:.0f} MB; {from_python}"),
        Figure("command", "validate, of python importing click and jsonschema",
               wall["validate"] / wall["click and jsonschema"], "", 1.3,
               detail=f"{1000 * wall['click and jsonschema']:.0f} ms; of click alone, which a right file needs, "
                      f"{number(wall['validate'] / wall['click'])}"),
        Figure("command", "plan, 1 container", 1000 * wall["plan, 1 container"], "ms",
               detail=f"{memory['plan, 1 container']:.0f} MB"),
        Figure("command", "plan, 500 containers on 100 nodes", 1000 * wall["plan, 500 containers"], "ms",
               detail=f"{memory['plan, 500 containers']:.0f} MB"),
        Figure("command", huge, wall[huge], "s", 2.0),
        Figure("command", f"{huge}: memory", memory[huge], "MB", 200),
        Figure("command", f"{huge}: time against half of it", doubled, "", 2.2, detail="linear is 2"),
    ]  # fmt: skip
    return figures, taken


def _definition(directory: Path, containers: int, nodes: int) -> list[str]:
    place = directory / f"{containers}"
    place.mkdir(exist_ok=True)
    names = [socket.gethostname(), *(f"node{number:04d}" for number in range(1, nodes))]
    (place / "nodes").write_text("".join(f"{name}\n" * -(-containers // nodes) for name in names))
    parts: list[dict[str, Any]] = [{"name": "head", "interactive": True, "image": "x", "run_cmd": ["true"]}]
    if containers > 1:
        parts.append({"name": "w", "image": "x", "run_cmd": ["true"], "scale": containers - 1})
    (place / "job.json").write_text(json.dumps({"containers": parts}))
    return [f"--hostfile={place}/nodes", f"--dockdef={place}/job.json"]


def _rounds(argvs: dict[str, list[str]]) -> dict[str, list[dict[str, float]]]:
    """The commands take turns."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in argvs}
    for _ in range(_ROUNDS):
        for name, argv in argvs.items():
            taken[name].append(_once(argv))
    return taken


def _once(argv: list[str]) -> dict[str, float]:
    began = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit code {process.returncode}\n{said.decode()}")
    return {
        "wall_s": time.monotonic() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "memory_bytes": usage.ru_maxrss * 1024,
    }
