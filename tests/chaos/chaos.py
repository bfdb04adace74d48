"""``make chaos N=1000 SEED=7``: kills the real program at every point, and looks whether anything is left.

.venv/bin/python tests/chaos/chaos.py --trials 1000 [--seed S] [--trial K] [--kind launcher:KILL] [--lab X]
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "lab"))

from checker import Verdict, conduct
from cluster import Cluster, dgrid
from directed import DIRECTED, Finding
from exhaustive import each_call
from figures import by_blow, is_late, is_red, summary
from harness import Grid, mend, open_grid, run_all
from lanes import IMAGE, Lane
from mutations import MUTATIONS, tried
from trial import draw, names


def main() -> int:
    """Run what the command line asks for; 1 if anything leaked, went too late, or a bystander was harmed."""
    asked = _arguments()
    with _lab(asked.lab, asked.nodes) as lab, open_grid(lab, asked.lanes, _say) as grid:
        _say(f"an undisturbed run takes {grid.base_s:.1f} s; {len(grid.lanes)} trials at a time")
        match asked.what:
            case "random":
                return _random(grid, asked)
            case "exhaustive":
                trials = each_call(grid.lanes[0], asked.calls, asked.every)
                return _trials(grid, trials, {"calls": asked.calls, "every": asked.every}, asked.json)
            case "directed":
                return _directed(grid.lanes[0])
            case _:
                return _mutations(grid.lanes[0])


def _random(grid: Grid, asked: argparse.Namespace) -> int:
    seed = asked.seed if asked.seed is not None else secrets.randbelow(1_000_000)
    _say(f"seed {seed}; one trial again: --seed {seed} --trial K")
    numbers = [asked.trial] if asked.trial is not None else range(1, asked.trials + 1)
    kinds = tuple(part for part in asked.kind.split(",") if part)
    plan = [draw(seed, number, kinds) for number in numbers]
    trials = (partial(conduct, trial, base_s=grid.base_s) for trial in plan)
    return _trials(grid, trials, {"seed": seed, "kinds": kinds}, asked.json)


def _trials(grid: Grid, trials: Iterable[Callable[[Lane], Verdict]], origin: dict[str, Any], file: Path) -> int:
    began, done = time.monotonic(), []

    def told(verdict: Verdict) -> None:
        done.append(verdict.as_json())
        _tell(verdict, is_late(done[-1]))
        if len(done) % 50 == 0:
            _say(f"-- {len(done)} trials, {60 * len(done) / (time.monotonic() - began):.0f} a minute")

    asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_end.set())
    try:
        run_all(grid, trials, _say, told, asked_to_end.is_set)
    finally:
        minutes = (time.monotonic() - began) / 60
        done.sort(key=lambda one: one["trial"]["number"])
        file.write_text(json.dumps({**origin, "minutes": round(minutes, 1), "verdicts": done}, indent=1))
    origin_told = ", ".join(f"{key} {value}" for key, value in origin.items() if value)
    _say(f"\n{origin_told}; {len(done) / minutes:.0f} trials a minute; all of them in {file}\n")
    _say("\n\n".join([summary(done), by_blow(done)]))
    return 1 if is_red(done) else 0


def _directed(lane: Lane) -> int:
    findings = []
    for trial in DIRECTED:
        findings.append(trial(lane))
        _say(f"{findings[-1].name}: {_found(findings[-1])}")
        if findings[-1].is_red:
            mend(lane, _say)
    return 1 if any(one.is_red for one in findings) else 0


def _mutations(lane: Lane) -> int:
    unnoticed = 0
    for mutation in MUTATIONS:
        found = tried(mutation, lane)
        unnoticed += not found.is_red
        _say(f"{mutation.name}: {'noticed' if found.is_red else 'NOT NOTICED'}; {found.name}: {_found(found)}")
        mend(lane, _say)
    return 1 if unnoticed else 0


def _found(finding: Finding) -> str:
    if finding.left or finding.harmed:
        return f"LEFT {_some(finding.left)} HARMED {_some(finding.harmed)}"
    return f"gone in {finding.gone_s:.1f} s of {finding.bound_s:.0f}"


def _tell(verdict: Verdict, late: bool) -> None:
    trial = verdict.trial
    marks = [
        "MISSED" if verdict.missed else "",
        f"LEAK {_some(verdict.left)} {_some(verdict.late_trials)}" if verdict.leaked else "",
        f"HARMED {_some(verdict.harmed)}" if verdict.harmed else "",
        "LATE" if late else "",
        f"containerd's alone: {_some(verdict.records)}" if verdict.records else "",
        "" if verdict.code_fits else f"exit code {verdict.code}",
        f"it said: {list(verdict.stderr[-12:])}" if late or not verdict.code_fits else "",
    ]
    after = f" + {trial.after_s:.2f} s" if trial.after_s else ""
    when = f"{trial.line}{after}" if trial.line else f"{trial.at_fraction:.0%}"
    gone = "never" if verdict.gone_s is None else f"{verdict.gone_s:.1f} s"
    _say(f"{trial.number:5} {trial.blow.name:32} {when:32} gone in {gone} {' '.join(filter(None, marks))}")


def _some(traces: Sequence[str]) -> str:
    return "; ".join([*(trace[:90] for trace in traces[:4]), *([f"and {len(traces) - 4} more"] if traces[4:] else [])])


@contextmanager
def _lab(name: str | None, nodes: int) -> Iterator[str]:
    """The lab of that name, or one of its own for as long as it is needed."""
    lab = Cluster(name or f"chaos{os.getpid()}", ())
    if name is None:
        _must("lab", "up", "--name", lab.name, "--nodes", str(nodes), "--batch", "none", "-q")
    try:
        if name is not None:
            lab.update()
        lab.load(IMAGE)
        yield lab.name
    finally:
        if name is None:
            _must("lab", "down", "--name", lab.name)


def _must(*arguments: str) -> None:
    done = dgrid(*arguments, timeout=600)
    if done.returncode != 0:
        raise SystemExit(done.stderr)


_PRINTING = threading.Lock()


def _say(text: str) -> None:
    with _PRINTING:
        print(text, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="random", choices=["random", "exhaustive", "directed", "mutations"])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--trial", type=int, help="only the trial of this number")
    parser.add_argument("--kind", default="", help=f"only these, divided by commas; beginnings of {', '.join(names())}")
    parser.add_argument("--calls", choices=["effects", "all"], default="effects", help="which calls exhaustive counts")
    parser.add_argument("--every", type=int, default=1, help="exhaustive: only every so manieth call")
    parser.add_argument("--lab", help="a running lab to use; else one is started and removed")
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--lanes", type=int, default=4, help="how many trials at a time, two nodes each")
    parser.add_argument("--json", type=Path, default=Path("chaos.json"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
