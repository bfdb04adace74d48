"""The user's private keys, each loaded once for all nodes: from files as ssh names them, and from the agent."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paramiko import PKey


class PrivateKeys:
    """Loading an RSA key costs 130 ms of CPU, so it is done once and not once a node. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, PKey | None] = {}
        self._agent: tuple[PKey, ...] | None = None
        self.unusable: dict[str, str] = {}

    def from_file(self, path: str) -> PKey | None:
        """The key in a file; None if there is none, or (then ``unusable`` says why) it cannot be used."""
        with self._lock:
            if path not in self._files:
                self._files[path] = self._load(path)
            return self._files[path]

    def from_agent(self) -> tuple[PKey, ...]:
        """The keys that ssh-agent holds; empty without an agent."""
        from paramiko import SSHException
        from paramiko.agent import Agent

        with self._lock:
            if self._agent is None:
                try:
                    self._agent = tuple(Agent().get_keys())
                except (SSHException, OSError):
                    self._agent = ()
            return self._agent

    def _load(self, path: str) -> PKey | None:
        from cryptography.exceptions import UnsupportedAlgorithm
        from paramiko import PasswordRequiredException, PKey, SSHException
        from paramiko.pkey import UnknownKeyType

        if not Path(path).is_file():
            return None
        try:
            return PKey.from_path(path)
        except (PasswordRequiredException, TypeError):  # TypeError: cryptography's word for "wants a passphrase"
            self.unusable[path] = "it has a passphrase and ssh-agent does not hold it"
        except (SSHException, OSError, ValueError, UnsupportedAlgorithm, UnknownKeyType) as error:
            self.unusable[path] = str(error) or type(error).__name__
        return None
