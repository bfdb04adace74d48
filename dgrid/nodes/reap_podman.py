"""A user's rootless Podman on this machine, for `dgrid reap`: by its command, as no service of it need run."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dgrid.errors import EngineError, EngineTimeout
from dgrid.nodes.reap_engine import Deadline, Removal
from dgrid.plan.naming import LABEL_SESSION
from dgrid.plan.reaping import Found, Kind, read_marks

PROGRAM_PATH = "/usr/local/bin:/usr/bin:/bin"

_FILTER = f"label={LABEL_SESSION}"
_LONGEST_OUTPUT = 16 << 20
_MEND = "podman system migrate"
# Where the user's systemd has gone with its directory, Podman finds its own.
_FIRST = '[ -d "$XDG_RUNTIME_DIR" ] || unset XDG_RUNTIME_DIR; '
_PODMAN = _FIRST + 'exec podman "$@"'
# What the network's name server was to serve: left there, it takes the address of the next network with the same one.
_FORGET = _FIRST + 'cd "$(podman info -f "{{.Store.RunRoot}}")/networks/aardvark-dns" && rm -f -- "$@"'
# What Podman makes for a user on a machine, until that is started anew; and where it keeps containers, if not set
# otherwise.
_TRACES = (
    "/run/user/{uid}/containers",
    "/run/user/{uid}/libpod",
    "/tmp/podman-run-{uid}",
    "/tmp/storage-run-{uid}",
    "/tmp/containers-user-{uid}",
    "{home}/.local/share/containers/storage",
)


class PodmanCommand:
    """``PodmanCommand("node1", "alice", None, deadline).found()``.

    ``account`` None is the caller's own Podman, with the caller's environment; else root asks as that user.
    """

    def __init__(self, node: str, user: str, account: pwd.struct_passwd | None, deadline: Deadline) -> None:
        self.title = f"Podman of {user}"
        self._node = node
        self._account = account
        self._deadline = deadline
        self._pids: dict[str, int] = {}
        self._mended = False

    def found(self) -> tuple[Found, ...]:
        containers = self._list("ps", "--all", "--no-trunc", "--filter", _FILTER, "--format", "json")
        networks = self._list("network", "ls", "--no-trunc", "--filter", _FILTER, "--format", "json")
        self._pids = {str(one["Id"]): int(one.get("Pid") or 0) for one in containers}
        marked = [
            *(_mark(Kind.CONTAINER, one, "Id", "Names", "Labels") for one in containers),
            *(_mark(Kind.NETWORK, one, "id", "name", "labels") for one in networks),
        ]
        return tuple(one for one in marked if one is not None)

    def pid(self, container: Found) -> int:
        return self._pids.get(container.object_id, 0)

    def remove_containers(self, containers: Sequence[Found]) -> Removal:
        return self._remove(containers, "rm", "--force", "--volumes", "--time", "0")

    def remove_networks(self, networks: Sequence[Found]) -> Removal:
        removal = self._remove(networks, "network", "rm")
        if self._mended:
            self._run(*(one.name for one in removal.removed), shell=_FORGET)
        return removal

    def _remove(self, objects: Sequence[Found], *command: str) -> Removal:
        """What is gone was removed, if Podman names it on stdout; one that is named by an error is left."""
        output, errors, _ = self._run(*command, *(one.object_id for one in objects))
        names = set(output.split())
        removed = tuple(one for one in objects if {one.object_id, one.name} & names)
        why = errors.strip().splitlines()[-1] if errors.strip() else "podman gives no reason"
        failed = tuple((one.object_id, why) for one in objects if one not in removed)
        return Removal(removed, failed)

    def _list(self, *command: str) -> list[dict[str, Any]]:
        output, errors, code = self._run(*command)
        if code != 0 and _MEND in errors:
            self._mend()
            output, errors, code = self._run(*command)
        if code != 0:
            raise EngineError(self._node, f"{self.title} cannot list what it has: {errors.strip() or f'exit {code}'}")
        try:
            found = json.loads(output or "[]")
        except ValueError as error:
            raise EngineError(self._node, f"{self.title} lists what is no JSON") from error
        return [one for one in found or [] if isinstance(one, dict)]

    def _mend(self) -> None:
        """All processes of the user's were killed, also the one that keeps Podman's user namespace, and those of all
        containers: Podman refuses everything until it has been told to make a new one. (5.4 crashes over the network
        of each container that it notes as stopped, but has noted it then.)"""
        self._mended = True
        while True:
            output, _, code = self._run(*_MEND.split()[1:])
            if code == 0 or "stopped" not in output:
                return

    def _run(self, *arguments: str, shell: str = _PODMAN) -> tuple[str, str, int]:
        action = f"podman {' '.join(arguments[:2])}"
        limit_s = self._deadline.call_s(self._node, action)
        process = subprocess.Popen(
            ["/bin/sh", "-c", shell, "sh", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            **_identity(self._account),
        )
        late = threading.Event()

        def cut() -> None:
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(limit_s, cut)
        timer.daemon = True
        timer.start()
        try:
            output, errors = _read(process)
        finally:
            timer.cancel()
        if late.is_set():
            raise EngineTimeout(self._node, f"{self.title} did not answer in time; wanted: {action}")
        return output, errors, process.wait()


def has_used_podman(account: pwd.struct_passwd) -> bool:
    """Whether Podman has left traces of this user here. Asking it would itself leave some, and a process."""
    traces = (Path(one.format(uid=account.pw_uid, home=account.pw_dir)) for one in _TRACES)
    return any(_exists(one) for one in traces)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a home that root may not look into
        return False


def _identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {
        "user": account.pw_uid,
        "group": account.pw_gid,
        "extra_groups": os.getgrouplist(account.pw_name, account.pw_gid),
        "env": {
            "PATH": PROGRAM_PATH,
            "HOME": account.pw_dir,
            "USER": account.pw_name,
            "LOGNAME": account.pw_name,
            "XDG_RUNTIME_DIR": f"/run/user/{account.pw_uid}",
        },
    }


def _read(process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """What it prints, to the end: of stdout not without bounds, as a user's settings decide what answers there."""
    assert process.stdout is not None
    assert process.stderr is not None
    errors: list[bytes] = []
    stderr = process.stderr
    reader = threading.Thread(target=lambda: errors.append(stderr.read(_LONGEST_OUTPUT)), daemon=True)
    reader.start()
    output = process.stdout.read(_LONGEST_OUTPUT)
    process.stdout.close()
    reader.join()
    return output.decode(errors="replace"), b"".join(errors).decode(errors="replace")


def _mark(kind: Kind, one: dict[str, Any], object_id: str, names: str, labels: str) -> Found | None:
    name = one.get(names) or one[object_id]
    return read_marks(
        kind,
        str(one[object_id]),
        str(name[0] if isinstance(name, list) else name),
        one.get(labels) or {},
        running=one.get("State") == "running",
    )
