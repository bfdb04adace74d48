"""The harness's hand on a node: starts, signals and looks, at once and with the times, all through one connection.

Runs on the node as root: one JSON object a line comes in, one goes out for each; their ``id`` joins them. The machine
and its nodes share one monotonic clock, so the times of several nodes can be compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from observer import LEASH, Observer


class Run:
    """A command that was started here, the lines of its stderr with their times, and its end."""

    def __init__(self, argv: Sequence[str], user: str, environment: dict[str, str], directory: str) -> None:
        who = pwd.getpwnam(user)
        self.process = subprocess.Popen(
            argv,
            env={"HOME": who.pw_dir, "USER": user, "LOGNAME": user, "PATH": os.environ["PATH"], **environment},
            cwd=directory,
            user=who.pw_uid,
            group=who.pw_gid,
            extra_groups=os.getgrouplist(user, who.pw_gid),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.started_at = time.monotonic()
        self.ended_at: float | None = None
        self.lines: list[str] = []
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._wait, daemon=True).start()

    def wait_line(self, text: str, timeout_s: float) -> bool:
        """Whether a line with that text came before the end and in time."""

        def came() -> bool:
            return any(text in line for line in self.lines)

        with self._news:
            self._news.wait_for(lambda: came() or self.ended_at is not None, timeout_s)
            return came()

    def wait_end(self, timeout_s: float) -> bool:
        """Whether it ended in time."""
        with self._news:
            return self._news.wait_for(lambda: self.ended_at is not None, timeout_s)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()

    def _wait(self) -> None:
        self.process.wait()
        with self._news:
            self.ended_at = time.monotonic()
            self._news.notify_all()


class Agent:
    """The commands; the names of public methods are what the harness sends as ``do``."""

    def __init__(self) -> None:
        self._observer = Observer()
        self._runs: dict[str, Run] = {}

    def start(self, run: str, argv: list[str], user: str, environment: dict[str, str], directory: str) -> Any:
        self._runs[run] = started = Run(argv, user, environment, directory)
        return {"pid": started.process.pid, "at": started.started_at}

    def await_moment(self, run: str, line: str | None, after_s: float) -> bool:
        """Wait for the line, if one is given, and then so long; False if the run ended before."""
        one = self._runs[run]
        if line is not None and not one.wait_line(line, 60):
            return False
        began = one.started_at if line is None else time.monotonic()
        return not one.wait_end(max(0.0, began + after_s - time.monotonic()))

    def ended(self, run: str, timeout_s: float) -> Any:
        one = self._runs[run]
        over = one.wait_end(timeout_s)
        time.sleep(0.01)  # for its last lines
        return {"over": over, "code": one.process.returncode, "at": one.ended_at, "stderr": one.lines[-40:]}

    def forget(self, run: str) -> None:
        """Kill a command if it is there still, and know it no more."""
        one = self._runs.pop(run, None)
        if one is not None and one.ended_at is None:
            one.process.kill()
            one.wait_end(10)

    def ssh_ports(self, run: str) -> list[int]:
        """This node's ports of the ssh connections that a command, or what it started, has."""
        owners = self._observer.family(self._runs[run].process.pid)
        lines = subprocess.check_output(["ss", "-Htnp", "state", "established", "dport", "=", ":22"], text=True)
        return [
            int(line.split()[2].rpartition(":")[2])
            for line in lines.splitlines()
            if any(f"pid={pid}," in line for pid in owners)
        ]

    def signal_run(self, run: str, name: str) -> Any:
        """Signal a command that was started here; None if it has ended."""
        one = self._runs[run]
        at = time.monotonic()
        if one.ended_at is not None:
            return None
        one.process.send_signal(signal.Signals[f"SIG{name}"])
        return at

    def signal_leash(self, name: str, whole: bool, pick: int) -> Any:
        """Signal the trial's leash on this node, all its processes or one of them; None if there is none."""
        found = [one for one in self._observer.extra_processes() if LEASH in one.command]
        found.sort(key=lambda one: one.pid)
        at = time.monotonic()
        for one in found if whole or not found else [found[pick % len(found)]]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.Signals[f"SIG{name}"])
        return at if found else None

    def signal_matching(self, text: str, name: str) -> int:
        """Signal the trial's processes with ``text`` in their command lines; how many those are."""
        found = [one for one in self._observer.extra_processes() if text in one.command]
        for one in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.Signals[f"SIG{name}"])
        return len(found)

    def await_leash(self, there: bool, timeout_s: float) -> bool:
        """Wait until the trial's leash is on this node, or is not; whether that came in time."""
        deadline = time.monotonic() + timeout_s
        while any(LEASH in one.command for one in self._observer.extra_processes()) is not there:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def new_containers(self) -> int:
        return self._observer.new_containers()

    def hold_second_look(self, containers: int, timeout_s: float) -> bool:
        """Let the leash look once, and hold its next `docker ps` until so many of the run's containers are listed.

        Whether both came in time.
        """
        deadline, looks, held = time.monotonic() + timeout_s, set[str](), None
        while held is None and time.monotonic() < deadline:
            processes = self._observer.extra_processes()
            if not any(LEASH in one.command for one in processes):
                return False
            for one in processes:
                if one.command.startswith("docker ps") and one.key not in looks:
                    looks.add(one.key)
                    held = one.pid if len(looks) == 2 else None
            time.sleep(0.002)
        if held is None:
            return False
        os.kill(held, signal.SIGSTOP)
        while (few := self._observer.new_containers() < containers) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(held, signal.SIGCONT)
        return not few

    def signal_engine(self, name: str) -> float:
        """Signal dockerd; KILL takes containerd with it, by the parent-death signal that dockerd gives it."""
        pid = int(subprocess.check_output(["pidof", "-s", "dockerd"]))
        self._engine_argv = open(f"/proc/{pid}/cmdline").read().split("\0")[:-1]  # noqa: SIM115, PTH123
        at = time.monotonic()
        os.kill(pid, signal.Signals[f"SIG{name}"])
        return at

    def revive_engine(self) -> float:
        """Start dockerd as it was started, and wait until it answers."""
        subprocess.run(["rm", "-f", "/run/docker.pid"])
        with open("/var/log/dockerd.log", "ab") as log:  # noqa: PTH123
            # Below init and not below this program, whose own children do not count as traces.
            subprocess.run(["setsid", "--fork", *self._engine_argv], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while subprocess.run(["docker", "version"], capture_output=True).returncode != 0:
            if time.monotonic() > deadline:
                raise RuntimeError("dockerd does not start again")
            time.sleep(0.1)
        return time.monotonic()

    def shell(self, script: str, user: str = "root") -> str:
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, user=user, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"{script}: {done.stderr.strip()}")
        return done.stdout

    def write(self, path: str, text: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        with open(path, "w") as file:  # noqa: PTH123
            file.write(text)

    def remember(self) -> int:
        return self._observer.remember()

    def remember_steady(self) -> None:
        self._observer.remember_steady()

    def extra(self) -> Any:
        return sorted(self._observer.extra())

    def settle(self, timeout_s: float) -> Any:
        return self._observer.settle(timeout_s)

    def differences(self) -> Any:
        return self._observer.differences()

    def clean(self) -> None:
        self._observer.clean()

    def end(self) -> None:
        """Nobody listens any more."""
        for one in self._runs.values():
            if one.ended_at is None:
                one.process.kill()


def main() -> None:
    agent, lock = Agent(), threading.Lock()

    def answer(request: dict[str, Any]) -> None:
        number, do = request.pop("id"), request.pop("do")
        try:
            reply = {"id": number, "value": getattr(agent, do)(**request)}
        except Exception as error:  # noqa: BLE001  # the harness is told, whatever it is
            reply = {"id": number, "error": f"{type(error).__name__}: {error}"}
        with lock:
            print(json.dumps(reply), flush=True)

    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    agent.end()


main()
