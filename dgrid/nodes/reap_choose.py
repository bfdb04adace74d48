"""Which engines of this machine `dgrid reap` asks: Docker behind its socket, and rootless Podman of users."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dgrid.nodes.reap_docker import DOCKER_SOCKET, DockerSocket
from dgrid.nodes.reap_engine import Circumstances, ReapableEngine
from dgrid.nodes.reap_podman import PROGRAM_PATH, PodmanCommand, has_used_podman
from dgrid.nodes.reap_processes import uids_with

_PODMAN_PROGRAMS = ("conmon",)


def engines_here(
    own_uid: int, users: frozenset[str] | None, wanted: str, socket_path: str | None, here: Circumstances
) -> tuple[ReapableEngine, ...]:
    """The engines to ask, by the settings ``engine`` ("auto", "docker", "podman") and ``engine_socket``.

    ``own_uid`` is the caller's. For root these are also the rootless Podmans of ``users``, and with ``users`` None of
    those who run containers by it now; in any case of those alone who have left traces of it on this machine.
    """
    engines: list[ReapableEngine] = []
    if socket_path is not None or wanted != "podman":
        path = socket_path or DOCKER_SOCKET
        if _is_usable(path):
            engines.append(DockerSocket(here.host, path, here.deadline))
    if socket_path is None and wanted != "docker" and shutil.which("podman", path=PROGRAM_PATH):
        # Where there is Docker, a run takes Podman only if it is told to.
        expected = own_uid != 0 and (wanted == "podman" or not engines)
        engines += (
            PodmanCommand(here.host, one.pw_name, None if own_uid else one, here.deadline)
            for one in _accounts(own_uid, users)
            if expected or has_used_podman(one)
        )
    return tuple(engines)


def _accounts(own_uid: int, users: frozenset[str] | None) -> Iterable[pwd.struct_passwd]:
    if own_uid:
        return (pwd.getpwuid(own_uid),)
    if users is None:
        known = (_account(pwd.getpwuid, uid) for uid in sorted(uids_with(_PODMAN_PROGRAMS)))
        return tuple(one for one in known if one is not None and one.pw_uid)
    named = (_account(pwd.getpwnam, name) for name in sorted(users))
    return tuple(one for one in named if one is not None and one.pw_uid)


def _account(look_up: Callable[[Any], pwd.struct_passwd], key: int | str) -> pwd.struct_passwd | None:
    try:
        return look_up(key)
    except KeyError:
        return None


def _is_usable(path: str) -> bool:
    """Whether there is a socket that the caller may open: others' runs are none of the caller's business."""
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode) and os.access(path, os.R_OK | os.W_OK)
    except OSError:
        return False
