"""One look at a node, as the submitter, over its link: who I am there, which engines, whether the mounts exist."""

from __future__ import annotations

import shlex

from dgrid.errors import LinkError
from dgrid.nodes.link import Link
from dgrid.nodes.probe_job import JOB_SCRIPT, read_affinity, read_attachers, read_cgroups
from dgrid.plan.job_cgroup import Hierarchy
from dgrid.plan.job_limits import Affinity
from dgrid.record import record

_SCRIPT = """
u=$(id -u)
echo uid $u
d=$XDG_RUNTIME_DIR; [ -d "$d" ] || d=/run/user/$u
socket() {
  if [ ! -S "$2" ]; then echo socket $1 missing "$2"
  elif [ -r "$2" ] && [ -w "$2" ]; then echo socket $1 usable "$2"
  else echo socket $1 forbidden "$2"; fi
}
socket docker /run/docker.sock
[ -S /run/docker.sock ] || socket docker /var/run/docker.sock
socket docker "$d/docker.sock"
socket podman "$d/podman/podman.sock"
command -v podman >/dev/null && echo command podman
for f in /usr/libexec/podman /usr/local/libexec/podman /usr/lib/podman /usr/local/lib/podman; do
  [ -x $f/catatonit ] && echo command catatonit
done
"""


@record
class FoundSocket:
    """An engine's socket on a node: ``state`` is "usable", "forbidden" or "missing"."""

    engine: str
    state: str
    path: str


@record
class Findings:
    """What the look at one node found; ``missing`` and ``read_only`` are paths of those that were asked for.

    ``has_catatonit``: Podman's init process is where Podman looks for it, which its API does not tell. ``cgroups`` are
    those of the user's processes there; ``attachers`` the commands, by name and path, that attach some to a job;
    ``affinity`` the CPUs the user's processes may use.
    """

    uid: int
    sockets: tuple[FoundSocket, ...]
    has_podman: bool
    has_catatonit: bool
    missing: tuple[str, ...]
    read_only: tuple[str, ...]
    cgroups: tuple[Hierarchy, ...] = ()
    attachers: tuple[tuple[str, str], ...] = ()
    affinity: Affinity | None = None


def probe(link: Link, sources: tuple[str, ...], writable: tuple[str, ...], timeout_s: float) -> Findings:
    """Look whether ``sources`` exist and ``writable`` directories can be written to. Raises LinkError."""
    tests = [f"[ -e {shlex.quote(path)} ] || echo missing {index}" for index, path in enumerate(sources)]
    tests += [f"[ -w {shlex.quote(path)} ] || echo read-only {index}" for index, path in enumerate(writable)]
    result = link.run("\n".join((_SCRIPT, JOB_SCRIPT, *tests, "echo done\n")), timeout_s)
    lines = result.output.splitlines()
    words = [line.split(" ", 3) for line in lines]
    uid = next((word[1] for word in words if word[0] == "uid" and len(word) == 2 and word[1].isdecimal()), None)
    if "done" not in lines or uid is None:
        raise LinkError(
            link.node, f"the login shell there does not run commands: {result.output.strip() or 'no output'}"
        )
    return Findings(
        uid=int(uid),
        sockets=tuple(FoundSocket(word[1], word[2], word[3]) for word in words if word[0] == "socket"),
        has_podman=["command", "podman"] in words,
        has_catatonit=["command", "catatonit"] in words,
        missing=tuple(sources[int(word[1])] for word in words if word[0] == "missing"),
        read_only=tuple(writable[int(word[1])] for word in words if word[0] == "read-only"),
        cgroups=read_cgroups(lines),
        attachers=read_attachers(lines),
        affinity=read_affinity(lines),
    )
