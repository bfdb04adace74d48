"""Output of containers on its way to dgrid's own streams and to files."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

from dgrid.errors import DgridError, OutputError, UsageError
from dgrid.nodes.container_stream import AttachStream
from dgrid.nodes.outlet import Outlets, write_all
from dgrid.nodes.terminal import Streams
from dgrid.plan.plan import Instance
from dgrid.record import record

_SETTLE_S = 1.0

Sink = Callable[[bool, bytes], None]
"""Takes (is stderr, bytes)."""


@record
class KeptEnded:
    """A worker's output, kept in a file, has ended, or cannot be written there any more."""

    worker: Instance
    failure: DgridError | None


class LogDirectory:
    """``--log-dir``: a file for each instance, ``worker-1.log``, with its stdout and stderr byte for byte."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--log-dir {directory}: cannot be made ({error.strerror}) — name a directory of yours"
            ) from error
        if not os.access(directory, os.W_OK):
            raise UsageError(f"--log-dir {directory}: you may not write there")

    def sink(self, instance: str) -> Sink:
        """Where the output of ``instance`` goes. Raises UsageError."""
        path = self._directory / f"{instance}.log"
        try:
            file = path.open("wb", buffering=0)
        except OSError as error:
            raise UsageError(f"--log-dir: {path} cannot be written ({error.strerror})") from error
        return lambda _is_stderr, data: write_all(file.fileno(), data)


def to_streams(streams: Streams) -> Sink:
    """The head container's stdout to ours and its stderr to ours. Raises OutputError when that cannot be."""
    if streams.outlets is not None:
        return streams.outlets

    def write(is_stderr: bool, data: bytes) -> None:
        try:
            write_all(streams.stderr if is_stderr else streams.stdout, data)
        except OSError as error:
            if error.errno == errno.EPIPE and is_stderr:
                return  # without a reader of its messages a program goes on
            raise OutputError(error) from error

    return write


class Pump(threading.Thread):
    """Carries an attached container's output to sinks until it ends, then calls ``at_end`` with what went wrong."""

    def __init__(
        self, attached: AttachStream, sinks: tuple[Sink, ...], at_end: Callable[[DgridError | None], None]
    ) -> None:
        super().__init__(daemon=True)
        self._attached = attached
        self._sinks = sinks
        self._at_end = at_end

    def run(self) -> None:
        failure: DgridError | None = None
        outlets = [sink for sink in self._sinks if isinstance(sink, Outlets)]
        try:
            for outlet in outlets:
                outlet.on_failure(self._attached.close)  # which ends the chunks
            for is_stderr, data in self._attached.chunks():
                for sink in self._sinks:
                    sink(is_stderr, data)
            for outlet in outlets:
                outlet.settle(_SETTLE_S)  # so that what is said next comes after it, unless its reader is slow
        except OSError as error:
            failure = DgridError(f"cannot write to the log directory ({error.strerror})")
        except DgridError as error:
            failure = error
        if failure is not None:
            self._attached.close()  # a container whose output is attached to, but not read, stops
        self._at_end(failure)


class StdinPump(threading.Thread):
    """Carries dgrid's stdin to the head container, and its end, too."""

    def __init__(self, attached: AttachStream, stdin: int) -> None:
        super().__init__(daemon=True)
        self._attached = attached
        self._stdin = stdin

    def run(self) -> None:
        try:
            while data := _read(self._stdin):
                self._attached.write(data)
        except (OSError, EOFError):
            pass  # the container reads no more, or our stdin was closed: either way there is no more to carry
        with contextlib.suppress(OSError, EOFError):
            self._attached.close_write()


def _read(descriptor: int) -> bytes:
    """The next bytes, empty at the end; also where the descriptor was made non-blocking by somebody."""
    while True:
        try:
            return os.read(descriptor, 1 << 16)
        except BlockingIOError:
            select.select([descriptor], [], [])
