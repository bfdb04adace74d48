"""Directories in /tmp that ended runs have left: sockets of ssh connections and of Podman's service."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import time
from pathlib import Path

from dgrid.errors import NodeError
from dgrid.nodes.reap_engine import Circumstances, Left, Reaped
from dgrid.nodes.reap_processes import open_socket_paths, read_processes
from dgrid.plan.reaping import Found, Kind, Wish, is_scratch, is_used
from dgrid.record import record

_BETWEEN_LOOKS_S = 3.0
# A run makes the directory first and starts what uses it then.
_YOUNGEST_S = 10.0


@record
class _Directory:
    path: str
    inode: int
    user: str


class ScratchWork:
    """The work on /tmp. What may be in use is left alone and not told: it will be looked at again."""

    def __init__(self, wish: Wish, here: Circumstances, parent: Path = Path("/tmp")) -> None:
        self.result = Reaped(str(parent))
        self._wish = wish
        self._here = here
        self._parent = parent

    def work(self) -> None:
        """Remove directories that nobody uses in two looks, some seconds apart."""
        if not self._wish.ended or not (first := self._unused()):
            return
        if not self._here.dry_run:
            self._here.deadline.sleep(_BETWEEN_LOOKS_S)
            first = [one for one in first if one in set(self._unused())]
        for one in first:
            self._remove(one)

    def give_up(self, error: Exception) -> None:
        """Note why the work did not come to its end."""
        why = error.what if isinstance(error, NodeError) else str(error)
        self.result.left.append(Left(self.result.engine, None, why))

    def _unused(self) -> list[_Directory]:
        there = [one for path in self._parent.iterdir() if (one := self._as_scratch(path)) is not None]
        if not there:
            return []
        processes, sockets = read_processes(), open_socket_paths()
        return [one for one in there if not is_used(one.path, processes, sockets)]

    def _as_scratch(self, path: Path) -> _Directory | None:
        if not is_scratch(path.name, ()):
            return None
        try:
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or time.time() - found.st_mtime < _YOUNGEST_S:
                return None
            if not is_scratch(path.name, (one.name for one in path.iterdir())):
                return None
            user = pwd.getpwuid(found.st_uid).pw_name
        except (OSError, KeyError):  # gone, or another's, or nobody's
            return None
        if self._wish.users is not None and user not in self._wish.users:
            return None
        return _Directory(str(path), found.st_ino, user)

    def _remove(self, directory: _Directory) -> None:
        found = Found(Kind.DIRECTORY, directory.path, directory.path, "", "", directory.user, self._here.host)
        try:
            if not self._here.dry_run:
                _remove_flat(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            self.result.left.append(Left(self.result.engine, found, error.strerror or str(error)))
            return
        self.result.removed.append(found)


def _remove_flat(directory: _Directory) -> None:
    """Through a descriptor, since root does this in a directory where others may put links in its place."""
    descriptor = os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_ino != directory.inode:
            return
        for name in os.listdir(descriptor):  # noqa: PTH208  # a path could be another directory by now
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=descriptor)
        Path(directory.path).rmdir()
    finally:
        os.close(descriptor)
