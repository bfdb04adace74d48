"""Links by ssh: by paramiko where it can do what the user's ssh settings ask for, else by OpenSSH."""

from __future__ import annotations

import os
import pwd
import threading
from pathlib import Path

from dgrid.errors import LinkError
from dgrid.nodes import link_openssh, link_paramiko
from dgrid.nodes.known_hosts import KnownHosts
from dgrid.nodes.link import Link, LinkKind
from dgrid.nodes.retry import retry
from dgrid.nodes.ssh_alike import SettingsOfHosts
from dgrid.nodes.ssh_keys import PrivateKeys
from dgrid.nodes.ssh_settings import SshSettings
from dgrid.plan.allocation import Node


class SshOpener:
    """Opens links; keeps what is the same for all nodes: loaded keys and known hosts. Safe between threads."""

    def __init__(self, kind: LinkKind, timeout_s: float) -> None:
        self._kind = kind
        self._timeout_s = timeout_s
        self._settings = SettingsOfHosts(Path(pwd.getpwuid(os.getuid()).pw_dir))  # not $HOME: ssh does not look at it
        self._keys = PrivateKeys()
        self._lock = threading.Lock()
        self._known_hosts: dict[tuple[str, ...], KnownHosts] = {}

    def open(self, node: Node) -> Link:
        """Tries again when sshd drops connections under load. Raises LinkError."""
        if self._kind is LinkKind.OPENSSH:
            return retry(lambda: link_openssh.connect(node.name, self._timeout_s))
        settings = self._settings(node.name)
        known_hosts = self._read_known_hosts(settings.known_hosts_files)
        reason = self._needs_openssh(settings, known_hosts)
        if reason is None:
            return retry(lambda: link_paramiko.connect(node.name, settings, known_hosts, self._keys, self._timeout_s))
        if self._kind is LinkKind.PARAMIKO:
            raise LinkError(node.name, f"your ssh settings use {reason}, which needs --link openssh or auto")
        return retry(lambda: link_openssh.connect(node.name, self._timeout_s))

    def way(self, node: Node) -> str:
        """How ``open`` reaches a node, and why so: "by ssh (paramiko)". Raises LinkError."""
        if self._kind is not LinkKind.AUTO:
            return f"by ssh ({self._kind.value}, as you asked)"
        settings = self._settings(node.name)
        reason = self._needs_openssh(settings, self._read_known_hosts(settings.known_hosts_files))
        return f"by ssh (OpenSSH, as your ssh settings use {reason})" if reason else "by ssh (paramiko)"

    def _needs_openssh(self, settings: SshSettings, known_hosts: KnownHosts) -> str | None:
        if settings.needs_openssh is not None:
            return settings.needs_openssh
        if any(key.marker == "@cert-authority" for key in known_hosts.keys(settings.known_as)):
            return "@cert-authority in known_hosts"
        has_key = any(self._keys.from_file(file) for file in settings.identity_files)
        if settings.gssapi and not has_key and not (settings.use_agent and self._keys.from_agent()):
            return "gssapiauthentication"
        return None

    def _read_known_hosts(self, files: tuple[str, ...]) -> KnownHosts:
        with self._lock:
            if files not in self._known_hosts:
                self._known_hosts[files] = KnownHosts.read(files)
            return self._known_hosts[files]
