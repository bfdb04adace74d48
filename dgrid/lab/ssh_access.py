"""Plain ssh from this machine into a lab: a configuration, with a key and the hosts' keys in files of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dgrid.errors import LabError
from dgrid.lab.execute import Command, capture
from dgrid.lab.find import Lab
from dgrid.lab.machine import Machine
from dgrid.lab.shape import FRONT


def ssh_config(machine: Machine, lab: Lab, caches: Path) -> str:
    """The text for ``ssh -F``; key and host keys are written below ``caches``, where ``forget_keys`` removes them.

    Raises LabError when the frontend does not give them.
    """
    directory = _directory(caches, lab.shape.name)
    user = lab.shape.users[0].name
    key = _file(machine, lab, f"/home/{user}/.ssh/id_ed25519")
    known = _file(machine, lab, "/lab/known_hosts")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(directory / "id_ed25519", key)
    _write(directory / "known_hosts", known)
    addresses = tuple((host.host, host.address) for host in lab.hosts if host.address)
    return config_text(lab.shape.name, user, addresses, directory)


def forget_keys(lab_name: str, caches: Path) -> None:
    """Removes what ``ssh_config`` wrote; nothing, if it wrote nothing."""
    shutil.rmtree(_directory(caches, lab_name), ignore_errors=True)


def config_text(lab_name: str, user: str, hosts: tuple[tuple[str, str], ...], directory: Path) -> str:
    """ssh_config(5): a section for each host, known as ``node1`` and as ``node1.NAME``."""
    common = (
        f"User {user}",
        f'IdentityFile "{directory}/id_ed25519"',
        "IdentitiesOnly yes",
        f'UserKnownHostsFile "{directory}/known_hosts"',
        "StrictHostKeyChecking yes",
    )
    sections = []
    for host, address in hosts:
        lines = (f"HostName {address}", f"HostKeyAlias {host}", *common)
        sections.append("\n".join([f"Host {host} {host}.{lab_name}", *(f"    {line}" for line in lines)]))
    return "\n\n".join(sections)


def _directory(caches: Path, lab_name: str) -> Path:
    return caches / "dgrid" / f"lab-{lab_name}"


def _file(machine: Machine, lab: Lab, path: str) -> bytes:
    done = capture(machine, lab.host(FRONT).container_id, Command("root", ("cat", path)))
    if done.returncode != 0:
        raise LabError(f"lab {lab.shape.name}: {FRONT}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _write(path: Path, content: bytes) -> None:
    """ssh refuses keys that others may read: no moment in which they could."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
