"""Starting and ending containers: dgrid against the engines alone, against ssh, and against docker compose."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from figures import Figure, of_runs
from lab import IMAGE, Lab

CASES = ((1, 1, 5), (4, 4, 5), (8, 4, 5), (32, 4, 3), (64, 8, 3))
"""Containers, nodes, rounds."""

_OF_ENGINES, _OF_SSH, _OF_COMPOSE, _OF_REMOVAL = 1.15, 0.8, 0.8, 1.2


def measure(lab: Lab, say: Callable[[str], None]) -> tuple[list[Figure], dict[str, Any]]:
    """The figures, and all times they are from."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    for containers, nodes, rounds in CASES:
        say(f"start and end of {containers} containers on {nodes} nodes")
        taken = _rounds(lab, ("engines", "files", "parts", "dgrid", "ssh"), containers, lab.nodes[:nodes], rounds)
        raw[f"{containers}/{nodes}"] = taken
        figures += _compared(f"{containers}/{nodes}", taken)
    say("start of 4 containers on one node, and docker compose")
    _install_compose(lab)
    taken = _rounds(lab, ("compose", "dgrid"), 4, lab.nodes[:1], 5)
    raw["4/1"] = taken
    own, other = (median(taken[way]["start_s"]) for way in ("dgrid", "compose"))
    detail = f"{of_runs(taken['dgrid']['start_s'])}; docker compose up {of_runs(taken['compose']['start_s'])}"
    figures.append(Figure("start", "4/1, of docker compose up", own / other, "", _OF_COMPOSE, detail=detail))
    return figures, raw


def _rounds(lab: Lab, ways: tuple[str, ...], containers: int, nodes: tuple[str, ...], rounds: int) -> dict[str, Any]:
    """Times by way and kind; the ways take turns, so that each meets the same machine."""
    taken: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in ways}
    for _ in range(rounds):
        for way in ways:
            for kind, value in lab.measure("times.py", way, str(containers), *nodes).items():
                taken[way][kind].append(value)
    return taken


def _compared(case: str, taken: dict[str, Any]) -> Iterator[Figure]:
    for part, kind, floors in (
        ("start", "start_s", (("engines", "the engines' floor", _OF_ENGINES), ("ssh", "ssh and docker run", _OF_SSH))),
        ("end", "end_s", (("engines", "forced removal", _OF_REMOVAL),)),
    ):
        for way, name, target in floors:
            value = median(taken["dgrid"][kind]) / median(taken[way][kind])
            detail = f"{of_runs(taken['dgrid'][kind])}; {name} {of_runs(taken[way][kind])}"
            yield Figure(part, f"{case}, of {name}", value, "", target, detail=detail)
    before, floor = taken["parts"], median(taken["files"]["start_s"])
    value = floor / median(taken["engines"]["start_s"])
    yield Figure("start", f"{case}, the engines' floor with dgrid's files, of that without", value, "")
    steps = floor + median(before["plan_s"]) + median(before["login_s"])
    logins = f", ssh logins {of_runs(before['login_s'])}" if not case.endswith("/1") else ""
    detail = f"with files {of_runs(taken['files']['start_s'])}, dgrid plan {of_runs(before['plan_s'])}{logins}"
    value = median(taken["dgrid"]["start_s"]) / steps
    name = "of the floor with dgrid's files, after dgrid plan and ssh logins"
    yield Figure("start", f"{case}, {name}", value, "", detail=detail)


_COMPOSE = "/usr/libexec/docker/cli-plugins/docker-compose"


def _install_compose(lab: Lab) -> None:
    """Debian's docker-compose, from a container that has it, into the first node."""
    dockerfile = f"FROM {IMAGE}\nRUN apt-get update -q && apt-get install -qy --no-install-recommends docker-compose\n"
    image = "localhost/dgrid-bench/compose"
    built = ["docker", "build", "--quiet", "--network", "host", "--tag", image, "-"]
    subprocess.run(built, input=dockerfile.encode(), check=True, stdout=subprocess.DEVNULL)
    shown = ["docker", "run", "--rm", image, "cat", _COMPOSE]
    try:
        program = subprocess.run(shown, check=True, stdout=subprocess.PIPE).stdout
    finally:
        subprocess.run(["docker", "image", "rm", image], check=True, stdout=subprocess.DEVNULL)
    lab.run("sh", "-c", "mkdir -p ${0%/*} && cat >$0 && chmod 755 $0 && test -s $0", _COMPOSE, user="root",
            stdin=program)  # fmt: skip
