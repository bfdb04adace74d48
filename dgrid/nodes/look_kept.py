"""Output that is kept until all of it is there, so that equal output of many containers can be shown once."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator

_IN_MEMORY_BYTES = 1 << 20
_PIECE = 1 << 16


class Kept:
    """Bytes; in a temporary file of this machine as soon as they are many."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  # open as long as this is there
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Keep more bytes. Raises OSError when the disk is full."""
        self._file.write(data)
        self._digest.update(data)

    @property
    def digest(self) -> str:
        """The same for the same bytes."""
        return self._digest.hexdigest()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was kept."""
        return self._file.tell() == 0

    def lines(self) -> Iterator[bytes]:
        """The bytes from their start, in pieces; with a line's end at their end."""
        self._file.seek(0)
        piece = b"\n"
        while more := self._file.read(_PIECE):
            yield (piece := more)
        if not piece.endswith(b"\n"):
            yield b"\n"


def alike(kept: Iterable[tuple[str, Kept]]) -> tuple[tuple[tuple[str, ...], Kept], ...]:
    """(name, bytes) pairs: equal bytes once, with the names of all who had them, in the order of the first."""
    found: dict[str, tuple[list[str], Kept]] = {}
    for name, one in kept:
        found.setdefault(one.digest, ([], one))[0].append(name)
    return tuple((tuple(names), one) for names, one in found.values())
