"""What a build gets to see: the files of a directory without those that .dockerignore names, as a stream."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from dgrid.errors import UsageError
from dgrid.record import record

_CHUNK = 1 << 18
_BLOCK = 512
_FOREIGN = ".dgrid-dockerfile"


@record
class Context:
    """``directory`` is sent; ``file`` is the Dockerfile, which may lie elsewhere."""

    directory: Path
    file: Path

    @property
    def name(self) -> str:
        """What the engine finds the Dockerfile under."""
        return _inside(self.directory, self.file) or _FOREIGN


def find_context(directory: Path, file: Path | None) -> Context:
    """The directory and its Dockerfile. Raises UsageError where one is missing, saying where it was looked for."""
    if not directory.is_dir():
        what = "is a file; give the directory it is in" if directory.exists() else "there is no such directory"
        raise UsageError(f"{directory}: {what}")
    found = directory / "Dockerfile" if file is None else file
    if not found.is_file():
        looked = f"{directory}: there is no Dockerfile in it" if file is None else f"{file}: there is no such file"
        raise UsageError(f"{looked} (looked for {found.absolute()}) — dgrid image init {directory} writes one")
    return Context(directory, found)


def read_dockerfile(context: Context) -> str:
    """The Dockerfile's text. Raises UsageError."""
    try:
        return context.file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{context.file}: this is no Dockerfile: it is not UTF-8 text") from error
    except OSError as error:
        raise UsageError(f"{context.file}: cannot be read ({error.strerror})") from error


def context_files(context: Context) -> tuple[str, ...]:
    """Paths in the directory that a build sees, sorted; ``.dockerignore`` is obeyed, the Dockerfile always in.

    Raises UsageError for a directory that cannot be read.
    """
    from docker.utils.build import exclude_paths

    ignored = context.directory / ".dockerignore"
    lines = ignored.read_text(encoding="utf-8", errors="replace").splitlines() if ignored.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    try:
        return tuple(sorted(exclude_paths(str(context.directory), patterns, dockerfile=context.name)))
    except OSError as error:
        raise _unreadable(error.filename or context.directory, error) from error


def context_stream(context: Context) -> Iterator[bytes]:
    """The files as a tar archive, piece by piece: nothing of it is kept in memory or on disk.

    Everything belongs to root in it, as with `docker build`. Raises UsageError for a file that cannot be read.
    """
    for name in context_files(context):
        yield from _entry(context.directory / name, name)
    if context.name == _FOREIGN:
        yield from _entry(context.file, _FOREIGN)
    yield bytes(2 * _BLOCK)


def _entry(path: Path, name: str) -> Iterator[bytes]:
    try:
        found = path.lstat()
        if stat.S_ISREG(found.st_mode):
            yield from _regular(path, name, found)
        elif stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode):
            entry = _header(name, found)
            if stat.S_ISLNK(found.st_mode):
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
            else:
                entry.type = tarfile.DIRTYPE
            yield entry.tobuf(tarfile.PAX_FORMAT)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path | str, error: OSError) -> UsageError:
    return UsageError(f"{path}: cannot be read ({error.strerror}) — make it readable, or name it in .dockerignore")


def _regular(path: Path, name: str, found: os.stat_result) -> Iterator[bytes]:
    entry = _header(name, found)
    entry.size = left = found.st_size
    with path.open("rb") as file:
        yield entry.tobuf(tarfile.PAX_FORMAT)
        # A file that shrinks meanwhile is filled up, one that grows cut: the archive has promised a size.
        while left:
            data = file.read(min(_CHUNK, left)) or bytes(min(_CHUNK, left))
            left -= len(data)
            yield data
    yield bytes(-entry.size % _BLOCK)


def _header(name: str, found: os.stat_result) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode = stat.S_IMODE(found.st_mode)
    entry.mtime = int(found.st_mtime)
    return entry


def _inside(directory: Path, file: Path) -> str | None:
    top, path = directory.resolve(), file.resolve()
    return str(path.relative_to(top)) if path.is_relative_to(top) else None
