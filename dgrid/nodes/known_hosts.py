"""The host keys the user and the site trust, read as ssh reads them (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

paramiko's own reader takes quadratic time, knows no wildcards and fails on certificate authorities.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from dgrid.record import record

_MARKERS = ("", "@revoked", "@cert-authority")


@record
class TrustedKey:
    """One line's key: its type ("ssh-ed25519"), the key in base64, and the line's marker ("", "@revoked", ...)."""

    key_type: str
    key_base64: str
    marker: str = ""


@dataclass(slots=True)
class KnownHosts:
    """All lines of some known_hosts files, plain names ready for look-up."""

    _by_name: dict[str, list[TrustedKey]] = field(default_factory=lambda: defaultdict(list))
    _patterns: list[tuple[list[str], TrustedKey]] = field(default_factory=list)
    _hashed: list[tuple[bytes, bytes, TrustedKey]] = field(default_factory=list)

    @classmethod
    def read(cls, files: Iterable[str]) -> KnownHosts:
        """From files that may be missing, as for ssh."""
        known = cls()
        for file in files:
            try:
                text = Path(file).read_text(errors="replace")
            except OSError:
                continue
            for line in text.splitlines():
                known._add(line)
        return known

    def keys(self, name: str) -> tuple[TrustedKey, ...]:
        """The keys for a host: ``keys("node1")``, ``keys("[node1]:2222")`` for another port than 22."""
        found = list(self._by_name.get(name, ()))
        found += [key for patterns, key in self._patterns if fits(patterns, name)]
        found += [key for salt, digest, key in self._hashed if _hash(salt, name) == digest]
        return tuple(found)

    def _add(self, line: str) -> None:
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker not in _MARKERS:
            return
        key = TrustedKey(words[1], words[2], marker)
        names = words[0]
        if names.startswith("|1|"):
            try:
                _, _, salt, digest = names.split("|")
                self._hashed.append((base64.b64decode(salt), base64.b64decode(digest), key))
            except ValueError:
                return
        elif any(letter in names for letter in "*?!"):
            self._patterns.append((names.split(","), key))
        else:
            for name in names.split(","):
                self._by_name[name.lower()].append(key)


def host_name_in_file(host: str, port: int) -> str:
    """How a host stands in known_hosts: ``node1``, or ``[node1]:2222`` for another port than 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def _hash(salt: bytes, name: str) -> bytes:
    import hashlib
    import hmac

    return hmac.digest(salt, name.encode(), hashlib.sha1)


def fits(patterns: Iterable[str], name: str) -> bool:
    """Whether a name in small letters is meant by a list of patterns, of known_hosts or of a Host line of ssh_config.

    They may have * and ?, and "!" before those that are not meant: PATTERNS in ssh_config(5).
    """
    patterns = tuple(patterns)
    if any(_is_like(name, pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_is_like(name, pattern) for pattern in patterns)


def _is_like(name: str, pattern: str) -> bool:
    # ssh knows * and ? only; a bracket is part of "[host]:port", not a character class.
    return fnmatchcase(name, pattern.lower().replace("[", "[[]"))
