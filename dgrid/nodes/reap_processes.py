"""The processes of this machine, as far as `dgrid reap` asks for them: leashes, users of files, a run's processes."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from dgrid.plan.reaping import Process, leash_of, leashes_of

_PROC = Path("/proc")
_POLL_S = 0.1


def read_processes() -> tuple[Process, ...]:
    """All processes that can be seen, without those of the kernel. One that ends meanwhile is left out."""
    found = []
    for path in _PROC.iterdir():
        if path.name.isdecimal():
            with contextlib.suppress(OSError):
                argv = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if argv != [""]:
                    found.append(Process(int(path.name), path.stat().st_uid, tuple(argv[:-1])))
    return tuple(found)


def open_socket_paths() -> tuple[str, ...]:
    """The paths of all unix sockets that somebody on this machine has open. Empty where the kernel does not tell."""
    try:
        lines = (_PROC / "net" / "unix").read_text(errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(columns[7] for line in lines[1:] if len(columns := line.split(None, 7)) == 8)


def is_first_of_a_container(pid: int) -> bool:
    """Whether ``pid``, as the engine numbers processes, is here the first process of some container.

    It is not where this process sees other processes than the engine does, itself in a container for instance. Then
    it would not see a leash either.
    """
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return False
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"


def end_leashes(sessions: Mapping[str, int], signum: signal.Signals) -> tuple[Process, ...]:
    """Send a signal to the leashes of these sessions (session to uid of its user); returns those there were."""
    there = leashes_of(sessions, read_processes())
    for one in there:
        _send(one, signum)
    return there


def await_end(sessions: Mapping[str, int], deadline: float) -> tuple[Process, ...]:
    """Wait until the leashes of these sessions have ended; those that have not by ``deadline`` (monotonic)."""
    while (there := leashes_of(sessions, read_processes())) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return there


def uids_with(names: Iterable[str]) -> frozenset[int]:
    """The users who run a program of one of these names."""
    wanted = set(names)
    return frozenset(one.uid for one in read_processes() if Path(one.argv[0]).name in wanted)


def _send(process: Process, signum: signal.Signals) -> None:
    # By a descriptor, and asked again with it open: by its number alone, it could be another process by now.
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(process.pid)
        try:
            argv = (_PROC / str(process.pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if leash_of(Process(process.pid, process.uid, tuple(argv))) == leash_of(process):
                signal.pidfd_send_signal(descriptor, signum)
        finally:
            os.close(descriptor)
