"""``make chaos N=1000 SEED=7``: kills the real program at every point, and looks whether anything is left.

.venv/bin/python tests/chaos/chaos.py --trials 1000 [--seed S] [--trial K] [--kind launcher:KILL] [--lab X]
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "lab"))

from cluster import Cluster, dgrid
from figures import by_blow, summary
from harness import Grid, open_grid, run_all
from lanes import IMAGE, Program
from trial import draw, names


def main() -> int:
    """Run what the command line asks for; 1 if anything leaked or a bystander was harmed."""
    asked = _arguments()
    seed = asked.seed if asked.seed is not None else secrets.randbelow(1_000_000)
    print(f"seed {seed}; one trial again: --seed {seed} --trial K", flush=True)
    numbers = [asked.trial] if asked.trial is not None else range(1, asked.trials + 1)
    kinds = tuple(part for part in asked.kind.split(",") if part)
    with _lab(asked.lab, asked.nodes) as lab, open_grid(lab, asked.lanes, _say) as grid:
        print(f"an undisturbed run takes {grid.base_s:.1f} s; {len(grid.lanes)} trials at a time", flush=True)
        return _trials(grid, seed, numbers, kinds, asked.json)


def _trials(grid: Grid, seed: int, numbers, kinds: tuple[str, ...], file: Path) -> int:
    began, done = time.monotonic(), []

    def told(verdict) -> None:
        done.append(verdict.as_json())
        _tell(verdict)
        if len(done) % 50 == 0:
            print(f"-- {len(done)} trials, {60 * len(done) / (time.monotonic() - began):.0f} a minute", flush=True)

    run_all(grid, [draw(seed, number, kinds) for number in numbers], Program(), _say, told)
    done.sort(key=lambda one: one["trial"]["number"])
    minutes = (time.monotonic() - began) / 60
    file.write_text(
        json.dumps({"seed": seed, "kinds": kinds, "minutes": round(minutes, 1), "verdicts": done}, indent=1)
    )
    print(f"\nseed {seed}; {len(done) / minutes:.0f} trials a minute; all of them in {file}\n")
    print(summary(done), by_blow(done), sep="\n\n")
    return 1 if any(one["left"] or one["late_trials"] or one["harmed"] for one in done) else 0


def _tell(verdict) -> None:
    trial = verdict.trial
    marks = [
        "MISSED" if verdict.missed else "",
        f"LEAK {_some(verdict.left)} {_some(verdict.late_trials)}" if verdict.leaked else "",
        f"HARMED {_some(verdict.harmed)}" if verdict.harmed else "",
        "" if verdict.code_fits else f"exit code {verdict.code}; it said: {list(verdict.stderr[-6:])}",
    ]
    when = f"{trial.line!r} + {trial.after_s:.2f} s" if trial.line else f"{trial.at_fraction:.0%}"
    gone = "never" if verdict.gone_s is None else f"{verdict.gone_s:.1f} s"
    print(f"{trial.number:5} {trial.blow.name:32} {when:32} gone in {gone} {' '.join(filter(None, marks))}", flush=True)


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
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--trial", type=int, help="only the trial of this number")
    parser.add_argument("--kind", default="", help=f"only these, divided by commas; beginnings of {', '.join(names())}")
    parser.add_argument("--lab", help="a running lab to use; else one is started and removed")
    parser.add_argument("--nodes", type=int, default=6)
    parser.add_argument("--lanes", type=int, default=3, help="how many trials at a time, two nodes each")
    parser.add_argument("--json", type=Path, default=Path("chaos.json"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
