"""A real sshd on a loopback port, with keys and configuration of its own in one directory; and a real ssh client.

Nothing of the machine's own ssh set-up is read or changed. The user is the one who runs the tests.
"""

import contextlib
import os
import pwd
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dgrid.nodes import link_openssh, link_paramiko
from dgrid.nodes.known_hosts import KnownHosts
from dgrid.nodes.link import Link
from dgrid.nodes.ssh_keys import PrivateKeys
from dgrid.nodes.ssh_settings import SshSettings

USER = pwd.getpwuid(os.getuid()).pw_name
SSHD = "/usr/sbin/sshd"
SSH = "/usr/bin/ssh"
HOST_KEY_TYPES = ("ed25519", "ecdsa")


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new key pair: ``path`` and ``path.pub``."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test of dgrid", "-f", path], check=True)
    return path


def public(key: Path) -> str:
    """Its public half, one line: type, base64, comment."""
    return key.with_name(f"{key.name}.pub").read_text().strip()


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Sshd:
    """A running sshd. ``key`` is one it accepts for USER; ``known_hosts`` has its host keys."""

    directory: Path
    port: int
    process: subprocess.Popen
    key: Path
    known_hosts: Path = field(init=False)

    def __post_init__(self) -> None:
        self.known_hosts = self.directory / "known_hosts"
        self.trust(*(self.host_key(kind) for kind in HOST_KEY_TYPES))

    @property
    def name(self) -> str:
        """What it is called in known_hosts."""
        return f"[127.0.0.1]:{self.port}"

    def host_key(self, kind: str) -> str:
        """Type and base64 of a host key of its own."""
        return " ".join(public(self.directory / f"host_{kind}").split()[:2])

    def trust(self, *keys: str, marker: str = "") -> None:
        """Make these the only lines of its known_hosts."""
        self.known_hosts.write_text("".join(f"{marker}{self.name} {key}\n" for key in keys))

    def authorize(self, *keys: Path) -> None:
        """Let these keys in, and no others."""
        (self.directory / "authorized_keys").write_text("".join(f"{public(key)}\n" for key in keys))

    def settings(self, *identities: Path) -> SshSettings:
        """As ``ssh -G`` would give them for it."""
        return SshSettings(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            identity_files=tuple(map(str, identities or (self.key,))),
            known_hosts_files=(str(self.known_hosts),),
            known_as=self.name,
            use_agent=False,
            gssapi=False,
            accept_unknown=False,
            needs_openssh=None,
        )

    def paramiko(self, *identities: Path, timeout_s: float = 10, **changes: object) -> link_paramiko.ParamikoLink:
        """A link to it by paramiko. Raises LinkError."""
        settings = replace(self.settings(*identities), **changes)
        known = KnownHosts.read(settings.known_hosts_files)
        return link_paramiko.connect("node1", settings, known, PrivateKeys(), timeout_s)

    def config(self, host: str = "node1", more: str = "") -> str:
        """The part of an ssh_config that makes it reachable as ``host``."""
        return (
            f"Host {host}\n HostName 127.0.0.1\n Port {self.port}\n User {USER}\n IdentityFile {self.key}\n"
            f" IdentityAgent none\n UserKnownHostsFile {self.known_hosts}\n GlobalKnownHostsFile /dev/null\n{more}"
        )

    def connections(self) -> list[int]:
        """The processes that each serve one connection."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def cut(self) -> None:
        """Kill every connection, without a word to either end."""
        for pid in self.connections():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def log(self) -> str:
        """What it wrote so far."""
        return (self.directory / "log").read_text()


@contextlib.contextmanager
def sshd(directory: Path, **options: object) -> Iterator[Sshd]:
    """``with sshd(tmp_path, MaxSessions=2) as server``: it listens when this begins, and is gone at the end."""
    key = make_key(directory / "user_ed25519")
    for kind in HOST_KEY_TYPES:
        make_key(directory / f"host_{kind}", kind)
    port = free_port()
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "PidFile": "none",
        "AuthorizedKeysFile": directory / "authorized_keys",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "MaxStartups": "100",
        **options,
    }
    lines = [f"{name} {value}" for name, value in settings.items()]
    lines += [f"HostKey {directory / f'host_{kind}'}" for kind in HOST_KEY_TYPES]
    (directory / "sshd_config").write_text("\n".join([*lines, ""]))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # root's sshd needs it; it is made at boot where sshd is a service
    command = [SSHD, "-D", "-f", directory / "sshd_config", "-E", directory / "log"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            server = Sshd(directory, port, process, key)
            server.authorize(key)
            _await_port(server)
            yield server
        finally:
            server.cut()
            process.terminate()


def _await_port(server: Sshd) -> None:
    deadline = time.monotonic() + 10
    while server.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"sshd does not listen: {server.log()}")


def ssh_client(directory: Path, config: str) -> Path:
    """A directory for PATH whose ``ssh`` is the real one with this configuration, as if it were the user's own."""
    (directory / "config").write_text(config)
    path = directory / "bin"
    path.mkdir(exist_ok=True)
    wrapper = path / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {SSH} -F {shlex.quote(str(directory / "config"))} "$@"\n')
    wrapper.chmod(0o755)
    return path


def openssh(node: str = "node1", timeout_s: float = 10) -> link_openssh.OpenSshLink:
    """A link by the ssh client in PATH. Raises LinkError."""
    return link_openssh.connect(node, timeout_s)


def until(condition, timeout_s: float = 5.0) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


LinkMaker = type[Link]
