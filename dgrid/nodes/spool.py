"""Temporary files for output that nobody reads at the moment: first in, first out, gone with the process."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from dgrid.errors import UsageError

_FILE_LIMIT = 1 << 28
_LEFT_TO_OTHERS = 1 << 30


class SpoolFile:
    """Bytes on their way through an unlinked file. When one is full the next is begun, so read ones give up their room.

    >>> file = Spool(Path("/tmp")).open()
    >>> file.append(b"hello"), file.take(2), file.unread
    (5, b'he', 3)
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written = 0
        self._read = 0
        self.is_open = True

    @property
    def unread(self) -> int:
        """How many bytes are still to be taken."""
        return self._written - self._read

    def append(self, data: memoryview | bytes) -> int:
        """Write as much as there is room for; returns how much. Raises OSError when there is none."""
        written = os.pwrite(self._descriptor, data, self._written)
        self._written += written
        self.is_open = self._written < _FILE_LIMIT
        return written

    def take(self, at_most: int) -> bytes:
        """The next bytes. Raises OSError when the disk does not give them back."""
        data = os.pread(self._descriptor, min(at_most, self.unread), self._read)
        self._read += len(data)
        return data

    def close(self) -> None:
        """Give the room back."""
        self.is_open = False
        os.close(self._descriptor)


class Spool:
    """A directory in which output may wait for its reader."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            self.open().close()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return  # it may have room when it is needed; if not, that is told then
            raise UsageError(
                f"--spool: {directory} cannot be written ({error.strerror}) — name a directory of yours"
            ) from error

    def open(self) -> SpoolFile:
        """A new file, which nobody else can open.

        Raises OSError, also when the disk has room for the others on the node only: a twentieth of it, at most 1 GB.
        """
        disk = os.statvfs(self.directory)
        if disk.f_bavail * disk.f_frsize < min(disk.f_blocks * disk.f_frsize // 20, _LEFT_TO_OTHERS):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        import tempfile

        descriptor, path = tempfile.mkstemp(prefix="dgrid-spool-", dir=self.directory)
        Path(path).unlink()
        return SpoolFile(descriptor)
