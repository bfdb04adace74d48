"""Ending a run in order ahead of the end of its job."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dgrid.batch.query import Finished
from dgrid.batch.remaining import Command
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.signals import StopSignals
from dgrid.units import format_duration

_ANSWER_S = 2.0
_SHORTEST_SLEEP_S = 1.0  # between two questions: a suspended job's time stands still
_LONGEST_SLEEP_S = 3600.0  # then the batch system is asked again: walltimes are changed while jobs run


def ask(command: Command) -> str | None:
    """What a command of the batch system says; None if there is none, it fails, or does not end within 2 s."""
    done = finish_command(command, _ANSWER_S)
    return done.output if done and done.exit_code == 0 else None


def finish_command(command: Command, answer_s: float) -> Finished | None:
    """How a command of the batch system ended; with exit code 1 if not in time, None if it cannot be run."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=answer_s,
            check=False,
            start_new_session=True,
        )
    except OSError:  # there is none, or the PATH has a directory that is closed to the user
        return None
    except subprocess.TimeoutExpired:
        return Finished(1, "", f"no answer within {answer_s:g} s")
    return Finished(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def age_of_job(proc: Path = Path("/proc")) -> float | None:
    """For how long the first of this process's ancestors that is the user's own has been running, in seconds.

    In a job that is the job script, or the shell that runs it. None where the kernel does not tell (proc(5)).
    """
    pid, started_ticks = os.getpid(), None
    with contextlib.suppress(OSError, ValueError, IndexError):
        while pid > 1 and (proc / str(pid)).stat().st_uid == os.getuid():
            # The name, in parentheses, may hold anything; after it comes the third field.
            fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
            pid, started_ticks = int(fields[1]), int(fields[19])
    try:
        uptime_s = float((proc / "uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return None if started_ticks is None else uptime_s - started_ticks / os.sysconf("SC_CLK_TCK")


class EarlyEnd:
    """A thread that ends the run ``before_s`` ahead of the job's end, as a TERM to dgrid does.

    ``left_s`` is what the job has left now; ``look`` asks the batch system for it again, and gives None where it does
    not answer. It is asked when the time has come, as the walltime may have been changed, or the job suspended.
    """

    def __init__(
        self,
        left_s: float,
        before_s: float,
        look: Callable[[], float | None],
        stop: StopSignals,
        narrator: Narrator,
    ) -> None:
        self._ends_at = time.monotonic() + left_s
        self._before_s = before_s
        self._look = look
        self._stop = stop
        self._narrator = narrator
        self._over = threading.Event()
        self._ending = threading.Lock()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within it the end is awaited."""
        thread = threading.Thread(target=self._wait, daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._ending:  # from here on it sends no signal
                self._over.set()

    def _wait(self) -> None:
        shortest_s = 0.0
        while not self._over.wait(min(max(shortest_s, self._left_s() - self._before_s), _LONGEST_SLEEP_S)):
            shortest_s = _SHORTEST_SLEEP_S
            looked_at = time.monotonic()
            if (left_s := self._look()) is not None:
                self._ends_at = looked_at + left_s
            if self._left_s() <= self._before_s:
                with self._ending:
                    self._end()
                return

    def _end(self) -> None:
        if not self._over.is_set():
            self._narrator.note(f"the job's time is over in {format_duration(self._left_s())}; ending")
            self._stop.is_ahead = not self._stop.received
            os.kill(os.getpid(), signal.SIGTERM)

    def _left_s(self) -> float:
        return self._ends_at - time.monotonic()
