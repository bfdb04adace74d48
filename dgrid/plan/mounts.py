"""Mounts: ``"/on/node:/in/container:ro"``, and which of them dgrid does not make."""

from __future__ import annotations

import re

from dgrid.plan.definition import Mount
from dgrid.plan.mistake import Mistake
from dgrid.plan.paths import absolute_path, is_inside

_FORM = 'write "/on/node:/in/container", with ":ro" at the end for read only'

_SOCKET_REASON = "whoever reaches the engine's socket is root on the node; dgrid talks to it from outside"
_KERNEL_REASON = "it shows and steers the node itself, not the job"

# Engines' sockets, and the directories that hold them. /var/run is /run on every Linux with systemd.
_SOCKETS = re.compile(
    r"/run(/(docker|podman|containerd|crio|cri-dockerd|buildkit|snapd)([./-].*)?)?"
    r"|/run/user(/[0-9]+(/(docker|podman|containerd)([./-].*)?)?)?"
    r"|.*/(docker|dockerd|podman|containerd|crio|buildkitd)\.sock(/.*)?"
)


def parse_mount(text: str) -> Mount:
    """``parse_mount("/a:/b:ro") == Mount("/a", "/b", read_only=True)``.

    Raises Mistake for another form, for paths that are not absolute, and for mounts that would hand the node's
    kernel or engine to the container or hide the container's own. Whether the source exists is for its node to say.
    """
    source, target, options = _split(text)
    mount = Mount(
        absolute_path(source, "the path on the node"),
        absolute_path(target, "the path in the container"),
        options == "ro",
    )
    _refuse_source(mount.source)
    _refuse_target(mount.target)
    return mount


def _split(text: str) -> tuple[str, str, str]:
    parts = text.split(":")
    if len(parts) < 2:
        raise Mistake('{} has no ":" between the path on the node and the one in the container', _FORM, text)
    if len(parts) > 3:
        raise Mistake('{} has more than two ":"', f"{_FORM}; paths with a colon cannot be mounted", text)
    source, target, options = (*parts, "")[:3]
    if source and "/" not in source and not source.startswith((".", "~", "$")):
        raise Mistake("{} is the name of a volume, not a path", f"dgrid mounts the node's own files: {_FORM}", source)
    if len(parts) == 3 and options not in ("ro", "rw"):
        raise Mistake("the option {} is not known", "the options are ro and rw", options)
    return source, target, options


def _refuse_source(source: str) -> None:
    if source == "/":
        raise Mistake("the node's whole file system may not be mounted", "mount the directories that are needed")
    if source == "/dev" or is_inside(source, "/proc") or is_inside(source, "/sys"):
        raise Mistake("the node's {} may not be mounted", f"leave it out: {_KERNEL_REASON}", source)
    real = source.removeprefix("/var") if is_inside(source, "/var/run") else source
    if _SOCKETS.fullmatch(real):
        what = "{} is, or holds, the socket of a container engine and may not be mounted"
        raise Mistake(what, f"leave it out: {_SOCKET_REASON}", source)


def _refuse_target(target: str) -> None:
    if target == "/":
        raise Mistake("nothing can be mounted over the container's whole file system", "choose a directory in it")
    if target == "/dev" or is_inside(target, "/proc") or is_inside(target, "/sys"):
        raise Mistake("nothing may be mounted over the container's {}", "choose another place in the container", target)
