"""The part of a spread image's stream that a node holds. Runs on the nodes, see spread_relay."""

from __future__ import annotations

import collections
import threading

_AHEAD = 8 << 20  # how far the slowest taker may be behind
_BEHIND = 32 << 20  # what has been taken and is kept for a node that lost the one before it


class Window:
    """The part of the stream that is here: filled by one thread, taken from by several, each from its place."""

    def __init__(self) -> None:
        self.end = 0
        self.complete = False
        self._changed = threading.Condition()
        self._pieces: collections.deque[tuple[int, bytes]] = collections.deque()
        self._places: dict[str, int] = {}

    def put(self, data: bytes) -> None:
        """Append; waits while somebody is too far behind."""
        with self._changed:
            self._changed.wait_for(lambda: self.end - min(self._places.values(), default=self.end) < _AHEAD)
            self._pieces.append((self.end, data))
            self.end += len(data)
            floor = min([self.end - _BEHIND, *self._places.values()])
            while self._pieces[0][0] + len(self._pieces[0][1]) <= floor:
                self._pieces.popleft()
            self._changed.notify_all()

    def finish(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self.complete = True
            self._changed.notify_all()

    def join(self, name: str, start: int) -> bool:
        """A taker that wants the stream from ``start`` on; false if that is here no more."""
        with self._changed:
            if start < (self._pieces[0][0] if self._pieces else self.end):
                return False
            self._places[name] = start
            return True

    def leave(self, name: str) -> None:
        """Wait for that taker no longer."""
        with self._changed:
            self._places.pop(name, None)
            self._changed.notify_all()

    def take(self, name: str, wait_s: float) -> bytes | None:
        """The next bytes for a taker, b"" at the end of the stream, None if there are none yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._next(name) is not None, wait_s)
            piece = self._next(name)
            if piece:
                self._places[name] += len(piece)
                self._changed.notify_all()
            return piece

    def _next(self, name: str) -> bytes | None:
        if name not in self._places:
            raise OSError("released")
        place = self._places[name]
        for start, piece in self._pieces:
            if start <= place < start + len(piece):
                return piece[place - start :]
        return b"" if self.complete and place >= self.end else None
