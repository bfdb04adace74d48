"""Compares a node with what it was before the trials: what is there in addition, and what is missing.

Runs on the node. What is missing is harm done to a bystander; what is there in addition is a trial's, or its leak.
"""

from __future__ import annotations

import os
import subprocess
import time

from traces import Process, Processes, is_engine, things, trial_of

LEASH = "dgrid-leash"
"""The word in the command line of every process of a leash."""

_POLL_S = 0.08
_QUIET_POLLS = 3
_STABLE_S = 2.5
_RECORDS_S = 15.0
"""How long containerd may take to forget what nobody runs any more; what it then still has are records."""

# `ctr` shows what containerd itself knows, should dockerd have lost sight of it.
_LISTS = r"""
docker ps --all --quiet --no-trunc | sed 's/^/listed container /'
docker ps --no-trunc --format '{{.ID}}' | sed 's/^/running container /'
docker network ls --quiet --no-trunc | sed 's/^/listed network /'
docker volume ls --quiet | sed 's/^/listed volume /'
ctr -a /run/docker/containerd/containerd.sock -n moby containers ls -q | sed 's/^/containerd container /'
ctr -a /run/docker/containerd/containerd.sock -n moby tasks ls -q | sed 's/^/containerd task /'
"""


def engine_lists(timeout_s: float = 40) -> set[str]:
    """What the engine and containerd list, by their own commands. Raises subprocess errors."""
    script = f"set -e -o pipefail\n{_LISTS}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=timeout_s)
    if done.returncode != 0:
        raise RuntimeError(f"the engine's lists: {done.stderr.strip()}")
    return set(done.stdout.splitlines())


class Observer:
    """Remembers a node as it was, and tells differences."""

    def __init__(self) -> None:
        self._things: set[str] = set()
        self._lists: set[str] = set()
        self._processes: dict[str, str] = {}
        self._steady: set[str] = set()
        self._records: set[str] = set()
        self._leash_sessions: set[int] = set()
        self._reader = Processes()

    def remember(self) -> int:
        """From now on the node as it is counts as before; returns how many things that are.

        A process counts when it was there twice, seconds apart: a bystander's own short-lived ones are not it.
        """
        first = self._own_processes()
        self._things, self._lists = things(), engine_lists()
        time.sleep(_STABLE_S)
        second = self._own_processes()
        self._things &= things()
        self._processes = {key: one.line for key, one in second.items() if key in first and not is_engine(one)}
        return len(self._things) + len(self._lists) + len(self._processes)

    def remember_steady(self) -> None:
        """All that is there now is to outlive even the engine, as long as that has live-restore."""
        self._steady = things() | engine_lists() | {one.line for one in self._own_processes().values()}

    def extra(self) -> set[str]:
        """What is there in addition, without asking the engine."""
        return self._extra_and_leash()[0]

    def new_containers(self) -> int:
        """How many containers the engine lists in addition."""
        return sum(line.startswith("listed container") for line in engine_lists() - self._lists)

    def missing(self) -> set[str]:
        """What is not there any more, without asking the engine."""
        now = self._own_processes()
        return (self._things - things()) | {line for key, line in self._processes.items() if key not in now}

    def extra_processes(self) -> list[Process]:
        """Processes that are new, unless a bystander or this program started them."""
        now = self._reader.now()
        return [
            one
            for one in now.values()
            if one.key not in self._processes and not is_engine(one) and not self._belongs(one, now)
        ]

    def family(self, pid: int) -> set[int]:
        """The numbers of a process and of all that come from it."""
        now = self._reader.now()
        return {one.pid for one in now.values() if any(elder.pid == pid for elder in _line(one, now))}

    def settle(self, timeout_s: float) -> dict[str, object]:
        """Look until nothing is there in addition, some looks long.

        ``clear_at`` is when the last trace went, ``bare_at`` when the last but the leash's own processes did, which
        stay to look again; both by the first look without. ``left`` is what is there at the end, if it came to that.
        What is containerd's alone and stays so does not count here: ``differences`` tells whether it is a record.
        """
        deadline, quiet, left, trials = time.monotonic() + timeout_s, 0, set[str](), set[str]()
        clear_at = bare_at = records_since = None
        while quiet < _QUIET_POLLS:
            left, own = self._extra_and_leash()
            trials |= {name for trace in left if (name := trial_of(trace))}
            now = time.monotonic()
            bare_at = None if left - own else bare_at or now
            clear_at = None if left else clear_at or now
            records_since = records_since or now if all(_is_containerds(one) for one in left) else None
            quiet = 0 if left else quiet + 1
            if left and records_since is not None and now - records_since > _RECORDS_S:
                left, clear_at, bare_at = set[str](), records_since, records_since
                break
            if now > deadline:
                break
            time.sleep(_POLL_S)
        now = time.monotonic()
        return {"clear_at": clear_at or now, "bare_at": bare_at or now, "left": sorted(left), "trials": sorted(trials)}

    def _extra_and_leash(self) -> tuple[set[str], set[str]]:
        """All traces, and those of them that are the leash's processes, whoever their parent is by now.

        Without containerd's records, which were told once: they stay there until somebody removes them as root.
        """
        processes = self.extra_processes()
        self._leash_sessions |= {one.session for one in processes if LEASH in one.command}
        own = {one.line for one in processes if one.session in self._leash_sessions}
        return (things() - self._things - self._records) | {one.line for one in processes}, own

    def differences(self) -> dict[str, list[str]]:
        """The full comparison, the engine's lists included. Its answer may take as long as the engine does.

        ``steady`` are those of the missing that were there at ``remember_steady``; ``records`` are entries that
        containerd has of containers without anything else of them: dockerd forgets one when it stops in the middle of
        a start (its own fault: only root can see or remove it, and it holds nothing). Each is told once.
        """
        lists = engine_lists()
        missing = self.missing() | (self._lists - lists)
        extra = self.extra() | (lists - self._lists - self._records)
        records = {line for line in extra if _is_record(line, extra)}
        new, self._records = records - self._records, self._records | records
        if any(line.startswith("process ") for line in records):
            self.clean()  # a shim would be taken for a trace of each later trial
        return {
            "left": sorted(extra - records),
            "missing": sorted(missing),
            "steady": sorted(missing & self._steady),
            "records": sorted(new),
        }

    def clean(self) -> None:
        """Remove whatever is there in addition, by force, so that the next trial finds the node as it was."""
        for one in self.extra_processes():
            subprocess.run(["kill", "-KILL", str(one.pid)], capture_output=True)
        for line in engine_lists() - self._lists:
            what, kind, name = line.split(" ", 2)
            if what == "listed":
                argv = ["docker", kind, "rm", *(["--force"] if kind != "network" else []), name]
                subprocess.run(argv, capture_output=True, timeout=40)
        for line in things() - self._things:
            if line.startswith("scratch "):
                subprocess.run(["rm", "-rf", f"/tmp/{line.removeprefix('scratch ')}"], capture_output=True)

    def _own_processes(self) -> dict[str, Process]:
        now = self._reader.now()
        return {one.key: one for one in now.values() if not self._is_ours(one, now)}

    def _is_ours(self, process: Process, now: dict[int, Process]) -> bool:
        """This program, and what it runs as root; what it starts for the trial's user is the trial's."""
        return process.uid == 0 and any(one.pid == os.getpid() for one in _line(process, now))

    def _belongs(self, process: Process, now: dict[int, Process]) -> bool:
        """Whether a bystander's process, as it was before, or this program started it."""
        if self._is_ours(process, now):
            return True
        parents = (one for one in _line(process, now) if one.pid != process.pid)
        return any(one.uid != 0 and one.key in self._processes for one in parents)


def _is_record(line: str, extra: set[str]) -> bool:
    """An entry of containerd's without anything of dockerd's, or with nothing but the shim of a task that has ended."""
    kind, _, name = line.rpartition(" ")
    if all(_is_containerds(one) for one in extra):
        return True
    others = ("container", "task", "listed container", "containerd task")
    return kind == "containerd container" and not any(f"{other} {name}" in extra for other in others)


def _is_containerds(line: str) -> bool:
    """Whether a thing is containerd's alone: its container, its task, the shim that waits for somebody to ask."""
    if line.startswith(("containerd container ", "containerd task ", "task ")):
        return True
    return line.startswith("process ") and " uid 0 " in line and "containerd-shim" in line


def _line(process: Process, now: dict[int, Process]) -> list[Process]:
    """The process, its parent, and so on."""
    found = [process]
    while (parent := now.get(found[-1].parent)) is not None and parent not in found:
        found.append(parent)
    return found
