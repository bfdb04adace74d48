"""The head container's output on its last step: to a reader who may be slow, or stop, or go away."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dgrid.errors import OutputError
from dgrid.nodes.spool import Spool, SpoolFile

_MEMORY_LIMIT = 1 << 20
_PIECE = 1 << 16
_STALLED_S = 10.0
_LOOK_S = 1.0


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte, also where the descriptor was made non-blocking by somebody. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


@dataclass(slots=True)
class _Kept:
    """Bytes in memory; ``own`` are dgrid's messages, not the container's output."""

    data: memoryview
    own: bool


class Outlet(threading.Thread):
    """Writes to one descriptor, in order, what it is given; keeps what the reader does not take at once.

    It keeps about 1 MB in memory. What is more waits in files of the spool; without a spool, or when its disk is full,
    ``put`` waits, and with it the container. ``tell`` gets a text, once, when the reader has
    taken nothing for ``stalled_s``.
    """

    def __init__(
        self, name: str, descriptor: int, spool: Spool | None, tell: Callable[[str], None],
        stalled_s: float = _STALLED_S,
    ) -> None:  # fmt: skip
        super().__init__(daemon=True)
        self.name = name
        self.failure: OutputError | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self._descriptor = descriptor
        self._spool = spool
        self._tell = tell
        self._stalled_s = stalled_s
        self._changed = threading.Condition()
        self._parts: deque[_Kept | SpoolFile] = deque()
        self._writing: _Kept | None = None
        self._in_memory = 0
        self._moved_at = time.monotonic()
        self._spool_again_at = 0.0
        self._limited = True
        self._told: set[str] = set()

    @property
    def pending(self) -> int:
        """How many bytes of the container's output the reader has not taken yet."""
        with self._changed:
            parts = (*self._parts, self._writing)
            kept = sum(len(part.data) for part in parts if isinstance(part, _Kept) and not part.own)
            return kept + sum(part.unread for part in parts if isinstance(part, SpoolFile))

    def put(self, data: bytes) -> None:
        """Take ``data`` over, sooner or later. Raises OutputError when what was taken before cannot be written."""
        view = memoryview(data)
        with self._changed:
            if not self._parts and self._writing is None:
                self._moved_at = time.monotonic()
            while view:
                if self.failure is not None:
                    raise self.failure
                taken = self._keep(view)
                view = view[taken:]
                if taken:
                    self._changed.notify_all()
                else:
                    self._changed.wait(_LOOK_S)
                self._watch_reader(waits=not taken)

    def put_message(self, data: bytes) -> None:
        """Take over a message of dgrid's own, at once; it is dropped should it be impossible to write."""
        with self._changed:
            self._parts.append(_Kept(memoryview(data), own=True))
            self._changed.notify_all()

    def lift(self) -> None:
        """From now on ``put`` waits no more: the container has ended, so there is not much to come."""
        with self._changed:
            self._limited = False
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Whether all has been written, or cannot be, within this time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._parts and self._writing is None, timeout_s)

    def run(self) -> None:
        while True:
            try:
                piece = self._next()
                write_all(self._descriptor, piece.data)
            except OSError as error:
                if not self._may_be_dropped(error):
                    self._fail(error)

    def _keep(self, view: memoryview) -> int:
        last = self._parts[-1] if self._parts else None
        if isinstance(last, SpoolFile) and last.is_open:
            return self._append(last, view)
        if self._in_memory < _MEMORY_LIMIT or not self._limited:
            self._in_memory += len(view)
            self._parts.append(_Kept(view, own=False))
            return len(view)
        if self._spool is None or time.monotonic() < self._spool_again_at:
            return 0
        try:
            file = self._spool.open()
        except OSError as error:
            return self._spool_failed(error)
        taken = self._append(file, view)
        if taken:
            self._parts.append(file)
        else:
            file.close()
        return taken

    def _append(self, file: SpoolFile, view: memoryview) -> int:
        try:
            return file.append(view)
        except OSError as error:
            file.is_open = False
            return self._spool_failed(error)

    def _spool_failed(self, error: OSError) -> int:
        self._spool_again_at = time.monotonic() + _LOOK_S
        assert self._spool is not None
        self._tell_once(
            "full",
            f"the spool in {self._spool.directory} takes no more ({error.strerror}); "
            f"the head container waits until the reader of {self.name} has taken some",
        )
        return 0

    def _watch_reader(self, waits: bool) -> None:
        if time.monotonic() - self._moved_at < self._stalled_s:
            return
        if self._spool is None:
            consequence = "the head container waits" if waits else ""
        else:
            consequence = f"what the head container writes is kept in {self._spool.directory} until then"
        if consequence:
            text = f"the reader of {self.name} has taken nothing for {self._stalled_s:.0f} s; {consequence}"
            self._tell_once("stalled", text)

    def _tell_once(self, what: str, text: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._tell(text)

    def _next(self) -> _Kept:
        """The next piece to be written; the one before it has been."""
        with self._changed:
            self._writing = None
            self._moved_at = time.monotonic()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._parts)
            self._writing = self._take()
            return self._writing

    def _take(self) -> _Kept:
        first = self._parts[0]
        if isinstance(first, SpoolFile):
            piece = _Kept(memoryview(first.take(_PIECE)), own=False)
            if not piece.data and first.unread:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            if not first.unread:
                self._parts.popleft()
                first.close()
            return piece
        piece = _Kept(first.data[:_PIECE], first.own)
        first.data = first.data[_PIECE:]
        if not first.own:
            self._in_memory -= len(piece.data)
        if not first.data:
            self._parts.popleft()
        return piece

    def _may_be_dropped(self, error: OSError) -> bool:
        """dgrid's own messages; and without a reader of its stderr a program goes on."""
        with self._changed:
            own = self._writing is not None and self._writing.own
        return own or (error.errno == errno.EPIPE and self.name == "stderr")

    def _fail(self, error: OSError) -> None:
        with self._changed:
            self.failure = OutputError(error)
            self._writing = None
            while self._parts:
                part = self._parts.popleft()
                if isinstance(part, SpoolFile):
                    part.close()
            self._in_memory = 0
            self._changed.notify_all()
        self.on_failure()


class Outlets:
    """dgrid's stdout and stderr: a sink for the head container's output, and the way for dgrid's own messages.

    Each has an order of its own. Where both are the same pipe, file or terminal, they have one order together.
    """

    def __init__(self, stdout: int, stderr: int, spool: Spool | None, line_end: str = "\n") -> None:
        self.has_spool = spool is not None
        self._line_end = line_end
        self._stderr_descriptor = stderr
        self.are_one = _same(stdout, stderr)
        self._stdout = Outlet("stdout", stdout, spool, self.remark)
        self._stderr = self._stdout if self.are_one else Outlet("stderr", stderr, spool, self.remark)
        self.all = (self._stdout,) if self.are_one else (self._stdout, self._stderr)
        for outlet in self.all:
            outlet.start()

    def __call__(self, is_stderr: bool, data: bytes) -> None:
        """Take over output. Raises OutputError."""
        (self._stderr if is_stderr else self._stdout).put(data)

    def say(self, text: str) -> None:
        """Write to stderr, line ends and all; never waits for its reader."""
        self._stderr.put_message(text.encode(errors="replace"))

    def remark(self, text: str) -> None:
        """Tell the user, from any thread."""
        self.say(f"dgrid: {text}{self._line_end}")

    def leave_stderr(self, timeout_s: float) -> None:
        """Wait so long for what is to be said; if nobody reads it, nobody's reading is waited for any more."""
        if not self._stderr.wait(timeout_s):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stderr_descriptor)
            os.close(null)

    def on_failure(self, act: Callable[[], None]) -> None:
        """``act`` when output cannot be written."""
        for outlet in self.all:
            outlet.on_failure = act

    def lift(self) -> None:
        """The container has ended: take the rest without waiting for the readers."""
        for outlet in self.all:
            outlet.lift()

    def settle(self, timeout_s: float) -> bool:
        """Whether all has been written within this time. Raises OutputError when it cannot be."""
        deadline = time.monotonic() + timeout_s
        settled = all(outlet.wait(max(0.0, deadline - time.monotonic())) for outlet in self.all)
        for outlet in self.all:
            if outlet.failure is not None:
                raise outlet.failure
        return settled


def _same(one: int, other: int) -> bool:
    with contextlib.suppress(OSError):
        return os.path.sameopenfile(one, other)
    return False
