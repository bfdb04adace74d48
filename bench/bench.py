"""``make bench``: all figures, with their floors, targets and verdicts, and docs/performance.md from them.

    .venv/bin/python bench/bench.py [PART...] [--json FILE] [--page FILE]

Parts: start, stream, command, scale, spread. Needs root, as ``scale`` makes namespaces, and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import command
import start_end
from figures import Figure, growth, number, of_runs, slope, table
from lab import Lab, running_lab
from page import page

_HERE = Path(__file__).resolve().parent
_FEW, _THRICE, _MOST = (1, 4, 16), (64, 256, 1024), 4096
"""Simulated nodes: of the middle sizes the medians of three runs count."""
_FIXED_MB = 80
PARTS = ("command", "start", "stream", "scale", "spread")


def main() -> None:
    """Measure, print the table, write the files; 0 also where a figure misses its target, as the table tells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--json", type=Path, default=_HERE / "results.json", help="where all that was measured goes")
    parser.add_argument("--page", type=Path, help="write the page of it here, and its plots beside it")
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if options.page and set(parts) != set(PARTS):
        parser.error("the page is made of all parts")
    if os.getuid() != 0:
        parser.error("run it as root: the simulated nodes get namespaces of their own")
    began = time.monotonic()
    figures, raw = _measured(parts)
    measured = {"machine": _machine(), "minutes": (time.monotonic() - began) / 60, "raw": raw,
                "figures": [asdict(one) for one in figures]}  # fmt: skip
    options.json.write_text(json.dumps(measured, indent=1))
    print(table(figures))
    if options.page:
        page(measured, figures, options.page)


def _measured(parts: list[str]) -> tuple[list[Figure], dict[str, Any]]:
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    on_lab: dict[str, Callable[[Lab], tuple[list[Figure], Any]]] = {
        "start": lambda lab: start_end.measure(lab, _say),
        "stream": _stream,
    }
    alone: dict[str, Callable[[], tuple[list[Figure], Any]]] = {
        "command": lambda: command.measure(_say),
        "scale": _scale,
        "spread": _spread,
    }
    for part in (one for one in PARTS if one in parts and one in alone):
        found, raw[part] = alone[part]()
        figures += found
    if wanted := [one for one in PARTS if one in parts and one in on_lab]:
        _say("starting a lab of 8 nodes")
        with running_lab(8) as lab:
            for part in wanted:
                found, raw[part] = on_lab[part](lab)
                figures += found
    return sorted(figures, key=lambda one: [*PARTS, "end"].index(one.part)), raw


def _stream(lab: Lab) -> tuple[list[Figure], Any]:
    _say("streams")
    taken: dict[str, list[float]] = {}
    ways = {"dgrid": lab.nodes[0], "docker": lab.nodes[0], "docker by ssh": lab.nodes[1]}
    for _ in range(3):
        for what in ("bytes", "keys"):
            for way, node in ways.items():
                one = lab.measure("stream.py", way.partition(" ")[0], what, node)
                taken.setdefault(f"{way} {what}", []).append(one)
    speed = {way: median(taken[f"{way} bytes"]) for way in ways}
    key_ms = {way: 1000 * median(taken[f"{way} keys"]) for way in ways}
    by_ssh = f"by ssh {number(speed['docker by ssh'])} MB/s"
    return [
        Figure("stream", "the head's stdout", speed["dgrid"], "MB/s", 200, True),
        Figure("stream", "the head's stdout, of docker start --attach by ssh", speed["dgrid"] / speed["docker by ssh"],
               "", 0.9, True, by_ssh),
        Figure("stream", "the head's stdout, of docker start --attach", speed["dgrid"] / speed["docker"], "",
               detail=f"docker {number(speed['docker'])} MB/s"),
        Figure("stream", "a keystroke there and back", key_ms["dgrid"], "ms",
               detail=f"docker {number(key_ms['docker'])} ms, by ssh {number(key_ms['docker by ssh'])} ms"),
    ], taken  # fmt: skip


def _scale() -> tuple[list[Figure], Any]:
    """With simulated nodes; see scale.py."""
    few = [_scaled(f"--nodes={size}") for size in _FEW]
    rounds, bare = [], []
    for _ in range(3):
        rounds.append([_scaled(f"--nodes={size}") for size in _THRICE])
        bare.append([_scaled(f"--nodes={size}", "--bare") for size in _THRICE])
    most = _scaled(f"--nodes={_MOST}")
    uneven = _scaled("--nodes=1024", "--slow=0.01")
    dead = _scaled("--nodes=1024", "--slow=0.01", "--dead=0.002", exit_code=125)
    many = [sorted(same, key=lambda one: float(one["start_s"]))[1] for same in zip(*rounds, strict=True)]
    thousand, every = many[-1], [*many, most]
    cpu_ms, bare_ms = ([_cpu_ms(sizes) for sizes in measured] for measured in (rounds, bare))

    def exponent(runs: list[dict[str, Any]]) -> float:
        return growth([(one["nodes"], one["start_s"]) for one in runs])

    def memory_kb(one: dict[str, Any]) -> float:
        return float((one["memory_bytes"] / 1e6 - _FIXED_MB) * 1000 / one["nodes"])

    return [
        Figure("scale", "CPU of the head a simulated node, 64 to 1,024", median(cpu_ms), "ms", 15,
               detail=of_runs(cpu_ms, "ms")),
        Figure("scale", "the same, of paramiko alone", median(cpu_ms) / median(bare_ms), "",
               detail=of_runs(bare_ms, "ms")),
        Figure("scale", "CPU of the head a simulated node, 64 to 4,096", _cpu_ms(every), "ms", 15),
        Figure("scale", f"its memory a simulated node, beyond {_FIXED_MB} MB, the most of 64 to 4,096",
               max(memory_kb(one) for one in every), "kB", 150),
        Figure("scale", "1,024 simulated nodes until the head's first byte", thousand["start_s"], "s", 15,
               detail=of_runs([sizes[-1]["start_s"] for sizes in rounds])),
        Figure("scale", "4,096", most["start_s"], "s"),
        Figure("scale", "exponent of growth, 64 to 1,024 simulated nodes", exponent(many), "", 1.05),
        Figure("scale", "the same, 64 to 4,096", exponent(every), "", 1.05),
        Figure("scale", "1,024, 1 % 10 times as slow, of 1,024", uneven["start_s"] / thousand["start_s"], "",
               detail=f"{number(uneven['start_s'])} s"),
        Figure("scale", "1,024, 0.2 % dead: until that is told", dead["whole_s"], "s",
               detail=f"exit code {dead['exit_code']}: {dead['said'][-1].strip()}"),
    ], {"curve": [*few, *every], "rounds": rounds, "bare": bare, "uneven": uneven, "dead": dead}  # fmt: skip


def _cpu_ms(runs: list[dict[str, Any]]) -> float:
    """Milliseconds of CPU a node."""
    return 1000 * slope([(one["nodes"], one["cpu_s"]) for one in runs])


def _scaled(*options: str, exit_code: int = 0) -> dict[str, Any]:
    _say(f"simulated nodes: {' '.join(options)}")
    argv = [sys.executable, str(_HERE / "scale.py"), *options]
    found: dict[str, Any] = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)
    if found["exit_code"] != exit_code:
        raise SystemExit(f"bench: {' '.join(options)} ended with exit code {found['exit_code']}: {found['said']}")
    return found


def _spread() -> tuple[list[Figure], Any]:
    _say("spreading an image")
    argv = [sys.executable, str(_HERE / "spread.py"), "--nodes=4", "--megabytes=100"]
    row = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    _, _, _, _, one, every, ratio, _, _ = (cell.strip() for cell in row.split("|"))
    return [
        Figure(
            "spread", "100 MB to 4 nodes, of one copy", float(ratio), "", detail=f"{every}, one copy {one}; 50 Mbit/s"
        )
    ], row


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    engine = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], stdout=subprocess.PIPE, text=True,
                            check=False)  # fmt: skip
    return {
        "cores": os.cpu_count(), "memory_gib": round(memory / 2**30), "kernel": platform.release(),
        "python": platform.python_version(), "engine": engine.stdout.strip(), "load_after": os.getloadavg()[0],
        "day": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
