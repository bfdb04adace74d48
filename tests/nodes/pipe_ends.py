"""Pipes whose ends are closed once: their numbers may be another file's afterwards."""

from __future__ import annotations

import os


class Pipe:
    """A pipe whose reader reads when it is told to."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self._open = {self.read_end, self.write_end}

    def read(self, number: int) -> bytes:
        """So many bytes, waited for."""
        parts = []
        while number:
            parts.append(os.read(self.read_end, min(number, 1 << 16)))
            assert parts[-1]
            number -= len(parts[-1])
        return b"".join(parts)

    def leave(self) -> None:
        """The reader goes away."""
        self._close(self.read_end)

    def end(self) -> None:
        """The writer has written all."""
        self._close(self.write_end)

    def _close(self, end: int) -> None:
        if end in self._open:
            self._open.remove(end)
            os.close(end)
