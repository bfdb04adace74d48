"""Hosts that ssh's settings do not tell apart: one question to ``ssh -G`` for all of them.

It costs 5 ms of CPU a host, a third of what else a node costs. ssh_config(5) tells hosts apart by ``Host`` patterns and
by ``Match``; the names themselves get into the values by HostName and by tokens.
"""

from __future__ import annotations

import glob
import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

from dgrid.nodes.known_hosts import fits
from dgrid.nodes.ssh_settings import SshSettings, ask_ssh, parse_ssh_settings

_SITE = Path("/etc/ssh")
_LINE = re.compile(r"([^\s=]*)\s*=?(.*)")
_DEEPEST = 16  # READCONF_MAX_DEPTH of OpenSSH's readconf.c


class SettingsOfHosts:
    """``SettingsOfHosts(Path.home())("node7").port``: the settings of each host. Safe between threads.

    ``home`` is the user's own directory, as the account has it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._patterns: tuple[tuple[str, ...], ...] | None = None
        self._told_apart = False
        self._answers: dict[tuple[bool, ...], tuple[str, str]] = {}

    def __call__(self, host: str) -> SshSettings:
        """Raises LinkError."""
        with self._lock:
            if self._patterns is None:
                self._patterns = self._read()
        # ssh tells small letters from capitals in names; ``fits``, for known_hosts, does not.
        if self._told_apart or host != host.lower():
            return parse_ssh_settings(ask_ssh(host))
        kind = tuple(fits(patterns, host) for patterns in self._patterns)
        with self._lock:
            if kind not in self._answers:
                self._answers[kind] = (host, ask_ssh(host))
            first, answer = self._answers[kind]
        return parse_ssh_settings(answer if host == first else _renamed(first, answer, host) or ask_ssh(host))

    def _read(self) -> tuple[tuple[str, ...], ...]:
        """The patterns of each Host line."""
        patterns = []
        for file, base in ((self._home / ".ssh/config", self._home / ".ssh"), (_SITE / "ssh_config", _SITE)):
            for keyword, words in self._lines(file, base, _DEEPEST):
                self._told_apart |= keyword in ("match", "canonicalizehostname")
                if keyword == "host":
                    patterns.append(tuple(words))
        return tuple(patterns)

    def _lines(self, file: Path, base: Path, depth: int) -> Iterator[tuple[str, list[str]]]:
        """Each line's keyword in small letters and its words, those of included files among them."""
        try:
            text = file.read_text(errors="replace")
        except OSError:
            return
        for line in text.splitlines():
            keyword, words = _words(line)
            if keyword != "include":
                yield keyword, words
            elif not depth or any("%" in word or "$" in word for word in words):
                yield "match", []  # who knows: each host is to be asked for
            else:
                for word in words:
                    # The account's home, as for ssh, whatever $HOME is.
                    place = self._home / word[2:] if word.startswith("~/") else base / word
                    found = glob.glob(str(place))  # noqa: PTH207  # Path.glob takes no absolute pattern
                    for name in sorted(found):
                        yield from self._lines(Path(name), base, depth - 1)


def _words(line: str) -> tuple[str, list[str]]:
    keyword, rest = _LINE.fullmatch(line.strip()).groups()  # type: ignore[union-attr]  # fits any line
    try:
        return keyword.lower(), shlex.split(rest, comments=True)
    except ValueError:
        return "match", []  # a quote that does not end: ssh decides


def _renamed(first: str, text: str, host: str) -> str | None:
    """The answer for ``first`` as one for ``host``; None where its name got into other values."""
    lines = []
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key in ("host", "hostname") and value.lower() == first.lower():
            lines.append(f"{key} {host}")
        elif first.lower() in value.lower():
            return None
        else:
            lines.append(line)
    return "\n".join(lines)
