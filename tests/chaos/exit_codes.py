"""Many runs of the real program on one node of a lab, each with the exit code that it must have.

    dgrid lab up --name x --nodes 2 && dgrid lab load --name x debian:trixie-slim
    .venv/bin/python tests/chaos/exit_codes.py --lab x --runs 1000 [--seed N] [--parallel 2]

Prints each run that ended with another code, what was left at the end, and the 95 % upper bound of the share of wrong
ones. The same seed makes the same runs. It copies itself into the node and runs there (``--here``).
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE = "debian:trixie-slim"
_STARTED = b"dgrid: head runs on"
_DEADLY = ("KILL", "TERM", "INT", "HUP", "QUIT", "ABRT", "SEGV", "FPE", "ILL", "BUS", "PIPE", "ALRM", "USR1", "USR2")
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_RUN_LIMIT_S = 120
_LEFT_WAIT_S = 30
# Each weight is the share of its kind.
_KINDS = {
    "exits": 40, "dies of a signal": 14, "signal to dgrid": 12, "signal while starting": 8, "fail_run": 8,
    "worker fails, head goes on": 6, "no such command": 4, "not executable": 4, "reader goes away": 2, "no image": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One run: what is to be run, the signal it gets and when, and the exit codes that are right."""

    kind: str
    containers: tuple[dict[str, Any], ...]
    right: tuple[int, ...]
    options: tuple[str, ...] = ("--local", "2")
    sent: signal.Signals | None = None
    after_start_s: float | None = None
    after_launch_s: float | None = None
    reads_one_line: bool = False


def head(*run_cmd: str, **keys: Any) -> dict[str, Any]:
    """The interactive container."""
    return {"name": "head", "interactive": True, "image": IMAGE, "run_cmd": list(run_cmd), **keys}


def worker(*run_cmd: str, **keys: Any) -> dict[str, Any]:
    """A worker."""
    return {"name": "w", "image": IMAGE, "run_cmd": list(run_cmd), **keys}


def shell(script: str) -> tuple[str, str, str]:
    """A command line for a bash script; its dollars are the shell's, not dgrid's."""
    return "bash", "-c", script.replace("$", "$$")


def make_trials(number: int, seed: int) -> Iterator[Trial]:
    """The runs of a seed, in order."""
    chance = random.Random(seed)
    codes: list[int] = []
    for _ in range(number):
        kind = chance.choices(list(_KINDS), list(_KINDS.values()))[0]
        if not codes:
            codes = chance.sample(range(256), 256)
        yield _MAKERS[kind](kind, chance, codes)


def _exits(kind: str, chance: random.Random, codes: list[int]) -> Trial:
    code = codes.pop()
    says = chance.choice(
        ["", "echo out; echo err >&2; ", f"sleep {chance.random():.2f}; ", "head -c 300000 /dev/zero; "]
    )
    workers = chance.choice([(), (worker("sleep", "60"),), (worker("true"),)])
    return Trial(f"{kind} {code}", (head(*shell(f"{says}exit {code}")), *workers), (code,))


def _dies(kind: str, chance: random.Random, _codes: list[int]) -> Trial:
    name = chance.choice(_DEADLY)
    return Trial(f"{kind} ({name})", (head("sh", "-c", f"kill -{name} $$$$; sleep 9"),), (128 + _number(name),))


def _signalled(kind: str, chance: random.Random, _codes: list[int]) -> Trial:
    sent = chance.choice(_ENDING)
    script, grace_s = chance.choice([
        ("sleep 60", 10), ("exec sleep 60", 10), ("trap 'exit 5' TERM INT HUP; while :; do sleep 0.1; done", 10),
        ("trap '' TERM INT HUP; while :; do sleep 0.1; done", 1),
        ("while :; do echo much; done", 2),
    ])  # fmt: skip
    containers = (head(*shell(script), stop_grace_s=grace_s), worker("sleep", "60", stop_grace_s=grace_s))
    return Trial(
        f"{kind} ({sent.name}; {script})",
        containers,
        (128 + sent, -sent),
        sent=sent,
        after_start_s=chance.uniform(0, 1),
    )


def _signalled_early(kind: str, chance: random.Random, _codes: list[int]) -> Trial:
    sent = chance.choice(_ENDING)
    containers = (head("sleep", "60", stop_grace_s=1), worker("sleep", "60", stop_grace_s=1))
    return Trial(
        f"{kind} ({sent.name})", containers, (128 + sent, -sent), sent=sent, after_launch_s=chance.uniform(0.0, 1.2)
    )


def _fail_run(kind: str, chance: random.Random, codes: list[int]) -> Trial:
    ends = chance.choice([f"exit {chance.randint(1, 255)}", "kill -KILL $$", "kill -SEGV $$"])
    waits = chance.choice(["", "sleep 0.5; "])
    containers = (head("sleep", "60", stop_grace_s=1), worker(*shell(waits + ends), failure_policy="fail_run"))
    return Trial(f"{kind} ({ends})", containers, (125,))


def _worker_fails(kind: str, chance: random.Random, codes: list[int]) -> Trial:
    code = codes.pop()
    containers = (head(*shell(f"sleep 0.6; exit {code}")), worker(*shell(f"exit {chance.randint(1, 255)}")))
    return Trial(f"{kind} ({code})", containers, (code,))


def _not_found(kind: str, chance: random.Random, _codes: list[int]) -> Trial:
    return Trial(kind, (head(chance.choice(["/nope", "nope"])), *chance.choice([(), (worker("sleep", "60"),)])), (127,))


def _not_executable(kind: str, chance: random.Random, _codes: list[int]) -> Trial:
    return Trial(kind, (head(chance.choice(["/etc/passwd", "/etc"])),), (126,))


def _reader_goes(kind: str, _chance: random.Random, _codes: list[int]) -> Trial:
    return Trial(kind, (head("yes"),), (141,), reads_one_line=True)


def _no_image(kind: str, _chance: random.Random, _codes: list[int]) -> Trial:
    return Trial(kind, ({**head("true"), "image": "localhost/no-such:1"},), (125,), ("--local", "1", "--pull", "never"))


_MAKERS: dict[str, Callable[[str, random.Random, list[int]], Trial]] = dict(
    zip(_KINDS, (_exits, _dies, _signalled, _signalled_early, _fail_run, _worker_fails, _not_found, _not_executable,
                 _reader_goes, _no_image), strict=True)
)  # fmt: skip


def _number(name: str) -> int:
    return int(signal.Signals[f"SIG{name}"])


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    trial: Trial
    code: int
    said: str
    took_s: float

    @property
    def is_right(self) -> bool:
        return self.code in self.trial.right


def carry_out(trial: Trial) -> Outcome:
    """Runs dgrid on this machine."""
    directory = Path(tempfile.mkdtemp(prefix="exit-codes-"))
    began = time.monotonic()
    try:
        (directory / "job.json").write_text(json.dumps({"containers": trial.containers}))
        with (directory / "err").open("wb") as err:
            process = subprocess.Popen(
                ["dgrid", "run", *trial.options, "--dockdef", str(directory / "job.json")],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, cwd=directory,
            )  # fmt: skip
        watchdog = threading.Timer(_RUN_LIMIT_S, process.kill)
        watchdog.start()
        if trial.sent:
            threading.Thread(target=_send, args=(trial, process, directory / "err"), daemon=True).start()
        _read(process, trial.reads_one_line)
        code = process.wait()
        watchdog.cancel()
        return Outcome(trial, code, (directory / "err").read_text(errors="replace"), time.monotonic() - began)
    finally:
        shutil.rmtree(directory)


def _send(trial: Trial, process: subprocess.Popen[bytes], said: Path) -> None:
    assert trial.sent
    if trial.after_start_s is None:
        time.sleep(trial.after_launch_s or 0.0)
    else:
        while process.poll() is None and _STARTED not in said.read_bytes():
            time.sleep(0.02)
        time.sleep(trial.after_start_s)
    process.send_signal(trial.sent)


def _read(process: subprocess.Popen[bytes], one_line: bool) -> None:
    assert process.stdout
    if one_line:
        process.stdout.readline()
        process.stdout.close()
        return
    while process.stdout.read1(1 << 16):
        pass


def left() -> list[str]:
    """What of any run is on this node; waits a while, as a leash may just be about to end."""
    script = (
        "docker ps -a --filter label=io.dgrid.session --format 'container {{.Names}}'; "
        "docker network ls --filter label=io.dgrid.session --format 'network {{.Name}}'; "
        "ls -d /tmp/dgrid-* 2>/dev/null; pgrep -a -f '[d]grid-leash'; true"
    )
    deadline = time.monotonic() + _LEFT_WAIT_S
    while True:
        found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(1)


def run_here(runs: int, seed: int, parallel: int) -> int:
    """All runs on this machine; 0 if each code was right and nothing was left."""
    wrong, took, kinds = 0, [], collections.Counter[str]()
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        for number, outcome in enumerate(pool.map(carry_out, make_trials(runs, seed)), 1):
            took.append(outcome.took_s)
            kinds[outcome.trial.kind.partition(" (")[0].rstrip("0123456789 ")] += 1
            if not outcome.is_right:
                wrong += 1
                print(f"WRONG run {number}: {outcome.trial}\n  ended with {outcome.code}\n{outcome.said}", flush=True)
            if number % 50 == 0:
                print(f"{number} of {runs}: {wrong} wrong, {sum(took) / len(took):.1f} s a run", flush=True)
    remains = left()
    for line in remains:
        print(f"LEFT {line}")
    print(", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    took.sort()
    print(f"seed {seed}: {runs} runs, {wrong} with a wrong exit code, {len(remains)} objects left; "
          f"median {took[len(took) // 2]:.1f} s, longest {took[-1]:.1f} s")  # fmt: skip
    if not wrong:
        print(f"95 % upper bound of the share of wrong ones: {100 * (1 - 0.05 ** (1 / runs)):.2f} %")
    return 1 if wrong or remains else 0


def run_in_lab(lab: str, node: str, arguments: list[str]) -> int:
    """Copies this program to a node, and runs it there as the lab's user."""
    on_node = [sys.executable, "-m", "dgrid", "lab", "run", "--name", lab, "--on", node, "--"]
    copy = ["sh", "-c", "cat > exit_codes.py"]
    subprocess.run([*on_node, *copy], input=Path(__file__).read_bytes(), check=True)
    return subprocess.run([*on_node, "python3", "-u", "exit_codes.py", "--here", *arguments], check=False).returncode


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Runs of dgrid whose exit codes are known before.")
    parser.add_argument("--lab")
    parser.add_argument("--node", default="node1")
    parser.add_argument("--here", action="store_true")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--parallel", type=int, default=2)
    given = parser.parse_args()
    if given.here:
        return run_here(given.runs, given.seed, given.parallel)
    if not given.lab:
        parser.error("--lab NAME says which lab to run in")
    numbers = [f"--runs={given.runs}", f"--seed={given.seed}", f"--parallel={given.parallel}"]
    print(f"seed {given.seed}", flush=True)
    return run_in_lab(given.lab, given.node, numbers)


if __name__ == "__main__":
    sys.exit(main())
