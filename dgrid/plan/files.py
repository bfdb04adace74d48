"""The files put into every container before its first instruction: the hostfile, and the user's home directory."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from dgrid.plan.definition import Container, HostfileFormat, Mount
from dgrid.plan.hostfile import hostfile_path
from dgrid.plan.request import FileToPlace


def files_to_place(container: Container, form: HostfileFormat, hostfile: bytes, home: str) -> tuple[FileToPlace, ...]:
    """The hostfile, and an empty home directory, unless a mount brings the home or a part of the tree above it.

    So ``$HOME`` is there and the user's own in any image. A home of "/" is left as it is.
    """
    file = FileToPlace(hostfile_path(container, form), hostfile, 0o644)
    if posixpath.normpath(home) == "/" or mount_at(container.mounts, home):
        return (file,)
    return (FileToPlace(home, None, 0o700), file)


def check_hostfile(container: Container, form: HostfileFormat) -> Iterator[str]:
    """Reasons why the hostfile cannot be put into this container; none is good."""
    path = hostfile_path(container, form)
    mount = mount_at(container.mounts, path)
    if mount and posixpath.normpath(mount.target) == posixpath.normpath(path):
        yield (
            f'container "{container.name}": {mount.source} is mounted at {path}, where the hostfile goes — '
            'mount it elsewhere, or choose another "host_list_location"'
        )
    elif mount and mount.read_only:
        yield (
            f'container "{container.name}": the hostfile cannot be written to {path}, since {mount.target} is '
            'mounted read-only — choose another "host_list_location", or mount with ":rw"'
        )


def warn_of_hostfile(container: Container, form: HostfileFormat) -> Iterator[str]:
    """Sentences about where the hostfile lands and what it lacks."""
    mount = mount_at(container.mounts, hostfile_path(container, form))
    if mount:
        yield (
            f'container "{container.name}": the hostfile is written to {mount.target}, which is {mount.source} on '
            'the node, and stays there after the run; another "host_list_location" avoids that'
        )
    if form is HostfileFormat.JSON and container.listed and not container.tags:
        yield (
            f'container "{container.name}" is not in the hostfile: "json" lists hosts under tags, and its '
            '"host_to_list" has none; give it one, as in ["tag=workers"]'
        )


def mount_at(mounts: tuple[Mount, ...], path: str) -> Mount | None:
    """The mount that ``path`` lies in, the innermost one; None when it is the image's own."""
    inside = [mount for mount in mounts if _contains(mount.target, path)]
    return max(inside, key=lambda mount: len(posixpath.normpath(mount.target)), default=None)


def _contains(directory: str, path: str) -> bool:
    directory, path = posixpath.normpath(directory), posixpath.normpath(path)
    return directory == "/" or path == directory or path.startswith(directory + "/")
