"""The link to this machine: its own unix sockets and processes, no ssh."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import time
from typing import cast

from dgrid.errors import EngineUnreachable, LinkError
from dgrid.nodes.link import CommandResult, Stream, resident_command


class LocalResident:
    """A process of this machine that ends when its input does."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._received = b""

    def read_line(self, timeout_s: float) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError
                data = os.read(self._process.stdout.fileno(), 4096)
                if not data:
                    break
                self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.decode(errors="replace")

    def received(self) -> tuple[list[str], bool]:
        assert self._process.stdout is not None
        ended = False
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not ended and selector.select(0):
                data = os.read(self._process.stdout.fileno(), 4096)
                self._received += data
                ended = not data
        *lines, self._received = self._received.split(b"\n")
        return [line.decode(errors="replace") for line in lines], ended or self._process.poll() is not None

    def send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has gone, or was closed by another thread
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdout is not None
        self.release()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def release(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()


def start_resident(command: list[str], script: str) -> LocalResident:
    """Run a command that reads ``script`` from its input, as ``resident_command`` does.

    In a session of its own: ctrl-C on the terminal is for dgrid, which decides what ends.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    resident = LocalResident(process)
    resident.send(script.encode())
    return resident


class LocalLink:
    """This machine as a node."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.scratch: str | None = None
        self.in_job = True
        self.remark = ""
        self._residents: list[LocalResident] = []

    def run(self, script: str, timeout_s: float) -> CommandResult:
        # A session of its own, as for residents: ctrl-C on the terminal is for dgrid.
        try:
            done = subprocess.run(
                ["/bin/sh", "-s"],
                input=script.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise LinkError(self.node, f"a check did not end within {timeout_s:g} s") from error
        return CommandResult(done.returncode, done.stdout.decode(errors="replace"))

    def stay(self, script: str, outlives_link: bool = False, name: str = "dgrid") -> LocalResident:
        resident = start_resident(["/bin/sh", "-c", resident_command(script, name)], script)
        if not outlives_link:
            self._residents.append(resident)
        return resident

    def dial(self, socket_path: str, timeout_s: float) -> Stream:
        return dial_unix(self.node, socket_path, timeout_s)

    def half_close(self, stream: Stream) -> None:
        cast(socket.socket, stream).shutdown(socket.SHUT_WR)

    def is_lost(self) -> bool:
        return False

    def addresses(self) -> tuple[str | None, str | None]:
        return None, None

    def cut(self) -> None:
        """Nothing stands between: whoever does not answer on this machine has deadlines to meet."""

    def close(self) -> None:
        while self._residents:
            self._residents.pop().close()


class UnixStream(socket.socket):
    """A unix socket whose ``close`` also wakes a ``recv`` in another thread."""

    def close(self) -> None:
        with contextlib.suppress(OSError):  # not connected any more: nobody to wake
            self.shutdown(socket.SHUT_RDWR)
        super().close()


def dial_unix(node: str, socket_path: str, timeout_s: float) -> UnixStream:
    """A connected stream to a unix socket of this machine. Raises EngineUnreachable in the node's name."""
    stream = UnixStream(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(timeout_s)
    try:
        stream.connect(socket_path)
    except OSError as error:
        stream.close()
        raise EngineUnreachable(
            node, f"cannot reach the engine at {socket_path} ({error.strerror or error})"
        ) from error
    return stream
