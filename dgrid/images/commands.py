"""Reading commands: which files they begin with, and what in them only root can do. Pure, and by pattern.

A shell script cannot be understood without running it, so these are rules of thumb: they look for what official
images do, and keep quiet where a script asks who runs it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from dgrid.images.view import Need
from dgrid.record import record

SSHD_SETTINGS = "/etc/ssh/sshd_config"

_SHELLS = ("sh", "bash", "dash", "ash", "ksh", "zsh")
_INTERPRETER = re.compile(r"python[\d.]*|perl|ruby|node|Rscript|php|lua")
# Programs that do no more than start another.
_WRAPPERS = ("tini", "dumb-init", "catatonit", "docker-init", "env", "exec", "nice", "nohup", "setsid", "stdbuf")
_START = r"(?:^|[;&|({!]|\bexec|\bthen|\bdo|\belse|-exec)\s*"
_PATH = r"(?:/\S*/)?"
_CHANGES_USER = re.compile(rf"{_START}{_PATH}(gosu|su-exec|setpriv|runuser|setuidgid|s6-setuidgid|chroot)\s")
_CHANGES_OWNER = re.compile(rf"{_START}{_PATH}(chown|chgrp|useradd|groupadd|usermod|groupmod|adduser|addgroup)\s")
_SUDO = re.compile(rf"{_START}{_PATH}(sudo|doas|su)(?:\s|$)")
_SSHD = re.compile(rf"{_START}{_PATH}sshd(?:\s|$)")
_ASKS_WHO = re.compile(r"\bid\s+-(?:u|un|nu)\b|\$\{?(?:EUID|UID)\b|\bwhoami\b")
_EXCUSED = re.compile(r"\|\|\s*(?:true\b|:|echo\b)")
_ENDS_ON_ERROR = re.compile(r"^(?:#!.*\s-\w*e|\s*set\s+-\w*e|\s*set\s+-o\s+errexit)", re.MULTILINE)


@record
class RootWork:
    """A command in a script that only root can do. ``ends`` says whether the script ends there without success."""

    line: int
    command: str
    ends: bool


def entry_names(argv: Sequence[str]) -> tuple[tuple[str, Need], ...]:
    """``entry_names(["tini", "--", "bash", "/run.sh"]) == (("tini", RUN), ("bash", RUN), ("/run.sh", READ))``.

    The files a command begins with, as far as its words tell; names without a slash are for PATH.
    """
    words = [word for word in argv if word]
    names: list[tuple[str, Need]] = []
    while words:
        program = words.pop(0)
        base = PurePosixPath(program).name
        if program != "exec":
            names.append((program, Need.RUN))
        if base in _WRAPPERS:
            words = _behind_options(words)
            continue
        if base in _SHELLS and words and re.fullmatch(r"-\w*c", words[0]):
            return (*names, *_in_shell(words[1] if len(words) > 1 else ""))
        if base in _SHELLS or _INTERPRETER.fullmatch(base):
            names += [(word, Need.READ) for word in words[:1] if word.startswith("/")]
        break
    return tuple(names)


def interpreter(text: str) -> tuple[str, ...]:
    """``interpreter("#!/bin/sh -e\\n...") == ("/bin/sh", "-e")``: what runs a script; ``()`` if it is none."""
    first = text.split("\n", 1)[0]
    return tuple(first[2:].split()) if first.startswith("#!") else ()


def gives_way(text: str) -> bool:
    """Whether a script ends by running its own arguments: ``exec "$@"``."""
    return re.search(r"""exec\s[^\n]*"\$@"|exec\s+\$[*@]""", text) is not None


def command_line(argv: Sequence[str]) -> str:
    """An argv as one would type it, or what it has a shell do."""
    if len(argv) > 2 and PurePosixPath(argv[0]).name in _SHELLS and re.fullmatch(r"-\w*c", argv[1]):
        return argv[2]
    return shlex.join(argv)


def root_work(text: str) -> Iterator[RootWork]:
    """What in a script, or in one command line, is root's alone. Nothing, if it asks before who runs it."""
    ends = _ENDS_ON_ERROR.search(text) is not None
    for number, line in _lines(text):
        if _ASKS_WHO.search(line):
            return
        for found in _CHANGES_USER.finditer(line):
            yield RootWork(number, found[1], True)
        if not _EXCUSED.search(line):
            for found in _CHANGES_OWNER.finditer(line):
                yield RootWork(number, found[1], ends or "&&" in line[found.end() :])


def sudo_uses(text: str) -> Iterator[tuple[int, str]]:
    """(line, command) of each sudo, doas and su; none, if the script asks before who runs it."""
    for number, line in _lines(text):
        if _ASKS_WHO.search(line):
            return
        yield from ((number, found[1]) for found in _SUDO.finditer(line))


def sshd_starts(text: str) -> Iterator[tuple[int, str, int | None]]:
    """(line, settings file, port) of each sshd that is started; the port is None where the settings have it."""
    for number, line in _lines(text):
        found = _SSHD.search(line)
        if found is None or re.search(r"\ssshd?\s*(?:-t|-T)\b", line):
            continue
        options = line[found.start() :]
        port = re.search(r"\s-p\s*(\d+)|\bPort[= ](\d+)", options)
        settings = re.search(r"\s-f\s*(\S+)", options)
        yield number, settings[1].strip("\"'") if settings else SSHD_SETTINGS, _number(port)


def sshd_port(settings: str) -> int:
    """``sshd_port("Port 2222\\n") == 2222``; 22 where nothing is said. Source: sshd_config(5)."""
    found = re.search(r"^\s*Port[\s=]+(\d+)", settings, re.MULTILINE | re.IGNORECASE)
    return int(found[1]) if found else 22


def _in_shell(text: str) -> tuple[tuple[str, Need], ...]:
    """The first command of a shell's line, if it is a plain one."""
    first = re.split(r"[;&|\n]", text, maxsplit=1)[0]
    try:
        words = shlex.split(first)
    except ValueError:
        return ()
    words = _behind_options(words) if words and "=" in words[0] else words
    is_plain = bool(words) and re.fullmatch(r"[\w./+-]+", words[0]) is not None and words[0] not in _BUILT_IN
    return entry_names(words) if is_plain else ()


_BUILT_IN = (
    ".", "alias", "case", "cd", "echo", "eval", "export", "for", "if", "printf", "read", "set", "source", "test",
    "time", "trap", "true", "ulimit", "umask", "unset", "until", "wait", "while",
)  # fmt: skip


def _behind_options(words: list[str]) -> list[str]:
    """A wrapper's command: what follows its options and settings of variables."""
    index = 0
    while index < len(words) and (words[index].startswith("-") or "=" in words[index]):
        index += 1
        if words[index - 1] == "--":
            break
    return words[index:]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("#"):
            yield number, line.strip()


def _number(found: re.Match[str] | None) -> int | None:
    return int(found[1] or found[2]) if found else None
