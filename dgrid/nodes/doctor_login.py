"""What a shell of the user's sees on a node: one script, whose every line is a word and its value."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from dgrid.errors import LinkError
from dgrid.nodes.link import Link
from dgrid.plan.checkup import LoginFound

_TOOLS = ("docker", "podman", "curl", "python3", "perl", "newuidmap")
_LONGEST_CHATTER = 80

# Of /proc/PID/cmdline only the word and what stands behind it are printed: arguments may hold secrets.
_LEASHES = """
for p in /proc/[0-9]*; do
  [ -O $p ] && { tr '\\0' '\\n' <$p/cmdline; } 2>/dev/null |
    while IFS= read -r w; do [ "$last" = dgrid-leash ] && echo "doctor leash $w"; last=$w; done
done
"""

# Numbers before the words of the listening sockets: proc_pid_net(5), state 0A.
_SCRIPT = (
    "echo doctor uid $(id -u); echo doctor gid $(id -g)\n"
    "for g in $(id -G); do echo doctor group $g $(getent group $g 2>/dev/null | cut -d: -f1); done\n"
    "echo doctor tmp $(df -Pk /tmp 2>/dev/null | tail -n 1 | awk '{print $4}')\n"
    "echo doctor memory $(awk '$1 == \"MemAvailable:\" {print $2}' /proc/meminfo 2>/dev/null)\n"
    f"for t in {' '.join(_TOOLS)}; do command -v $t >/dev/null 2>&1 && echo doctor tool $t; done\n"
    "echo doctor namespaces $(cat /proc/sys/user/max_user_namespaces 2>/dev/null)\n"
    "echo doctor clone $(cat /proc/sys/kernel/unprivileged_userns_clone 2>/dev/null)\n"
    "u=$(id -un 2>/dev/null); i=$(id -u)\n"
    'for f in subuid subgid; do awk -F: -v u="$u" -v i=$i -v f=$f '
    "'$1 == u || $1 == i {n += $3} END {print \"doctor\", f, n + 0}' /etc/$f 2>/dev/null; done\n"
    'awk \'$4 == "0A" {sub(/.*:/, "", $2); print "doctor port", $2}\' /proc/net/tcp /proc/net/tcp6 2>/dev/null\n'
    "echo doctor done\n"
)


def look_around(link: Link, timeout_s: float, now: Callable[[], float] = time.time) -> LoginFound:
    """All the script finds, and how far the node's clock is ahead of ``now``. Raises LinkError."""
    ahead_s, within_s = _clock(link, timeout_s, now)
    result = link.run(_SCRIPT, timeout_s)
    return replace(read_login(link.node, result.output), clock_ahead_s=ahead_s, clock_within_s=within_s)


def living_leashes(link: Link, timeout_s: float) -> frozenset[str]:
    """The sessions whose leash lives on the node just now. Raises LinkError."""
    return frozenset(value for word, value in _words(link.run(_LEASHES, timeout_s).output) if word == "leash")


def free_bytes(link: Link, directory: str, timeout_s: float) -> int | None:
    """What is free on a directory's file system, None if the node does not say. Raises LinkError."""
    lines = link.run(f"df -Pk {shlex.quote(directory)} 2>/dev/null", timeout_s).output.splitlines()
    fields = lines[-1].split() if lines else []
    return int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdecimal() else None


def read_login(node: str, output: str) -> LoginFound:
    """From the script's output; what stands before its first line is from start-up files. Raises LinkError."""
    values: dict[str, list[str]] = {}
    for word, value in _words(output):
        values.setdefault(word, []).append(value)

    def number(word: str) -> int | None:
        text = values.get(word, [""])[0]
        return int(text) if text.isdecimal() else None

    uid, gid = number("uid"), number("gid")
    if "done" not in values or uid is None or gid is None:
        raise LinkError(node, f"the login shell there does not run commands: {output.strip() or 'no output'}")
    tmp, memory = number("tmp"), number("memory")
    tools = frozenset(values.get("tool", ()))
    return LoginFound(
        uid=uid,
        gid=gid,
        groups=tuple((int(gid), name) for gid, _, name in (text.partition(" ") for text in values.get("group", ()))),
        chatter=output.partition("doctor uid ")[0].strip()[:_LONGEST_CHATTER],
        tmp_free_bytes=None if tmp is None else tmp * 1024,
        memory_free_bytes=None if memory is None else memory * 1024,
        tools=tools,
        user_namespaces=number("namespaces") != 0 and number("clone") != 0,
        subuids=number("subuid") or 0 if "newuidmap" in tools else 0,
        subgids=number("subgid") or 0 if "newuidmap" in tools else 0,
        listening=frozenset(int(port, 16) for port in values.get("port", ())),
    )


def _words(output: str) -> Iterator[tuple[str, str]]:
    for line in output.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "doctor":
            word, _, value = rest.partition(" ")
            yield word, value.strip()


def _clock(link: Link, timeout_s: float, now: Callable[[], float]) -> tuple[float, float]:
    """How far the node's clock is ahead, and by how much that may be wrong: half the time that asking took."""
    before = now()
    output = link.run("date +'doctor clock %s.%N'", timeout_s).output
    after = now()
    for word, value in _words(output):
        with contextlib.suppress(ValueError):
            if word == "clock":
                whole, _, part = value.partition(".")
                exact = part.isdecimal()  # some systems' date knows no %N
                there = float(f"{whole}.{part}") if exact else int(whole) + 0.5
                return there - (before + after) / 2, (after - before) / 2 + (0.0 if exact else 0.5)
    return 0.0, after - before
