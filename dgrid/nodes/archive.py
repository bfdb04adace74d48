"""Files on their way into and out of containers: the tar archives of the engine's API."""

from __future__ import annotations

import io
import tarfile
import time
from functools import lru_cache

from dgrid.plan.request import FileToPlace


@lru_cache(maxsize=16)
def pack(files: tuple[FileToPlace, ...], user: str) -> bytes:
    """``pack(request.files, "2001:2001")``: an archive to be unpacked at /, with owners and modes.

    Kept, as all instances of a container get the same files.
    """
    uid, gid = (int(part) for part in user.split(":"))
    buffer = io.BytesIO()
    # GNU's format writes a header in half the time of Python's default, and knows long names, too.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.mode, entry.mtime = file.mode, int(time.time())
            entry.uid, entry.gid = (0, 0) if file.by_root else (uid, gid)
            if file.content is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(file.content)
            tar.addfile(entry, io.BytesIO(file.content or b""))
        end = buffer.tell() + 2 * tarfile.BLOCKSIZE
    # No padding after the two blocks that end it: Podman reads no further, and may fail to pass the rest on.
    return buffer.getvalue()[:end]


def unpack_first(archive: bytes) -> bytes | None:
    """The content of the archive's first entry, None if that is no file."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:  # "r" would load all that decompresses
        content = tar.extractfile(tar.getmembers()[0])
        return None if content is None else content.read()
