"""Running a command in a host of a lab, with its streams and its exit code."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgrid.lab.machine import Machine
from dgrid.record import record

if TYPE_CHECKING:
    from docker import APIClient

_CHUNK = 1 << 16
_STDERR = 2
_WAKE_MS = 1000
USER_PATH = "/usr/local/bin:/usr/bin:/bin"


@record
class Command:
    """``Command("root", ("sinfo", "-h"))``: who runs what, where, with which environment added."""

    user: str
    argv: tuple[str, ...]
    workdir: str = "/"
    environment: tuple[tuple[str, str], ...] = ()
    tty: bool = False


@record
class Output:
    """What a command left: its exit code and everything it wrote."""

    returncode: int
    stdout: bytes
    stderr: bytes


@dataclass(slots=True)
class Execution:
    """A running command. ``send`` and ``end_input`` write its stdin; ``output`` gives (1 or 2, bytes) until it ends."""

    client: APIClient
    id: str
    connection: socket.socket
    tty: bool
    ahead: bytes = b""
    """Output that came together with the engine's answer."""

    def send(self, content: bytes) -> None:
        """Writes to the command's stdin. Raises OSError when the command is gone."""
        self.connection.sendall(content)

    def end_input(self) -> None:
        """The command reads end of file."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    def output(self) -> Iterator[tuple[int, bytes]]:
        """The output as it comes; a terminal's comes all as stdout."""
        stream = _Continued(self.ahead, self.connection)
        while self.tty and (content := stream.read(_CHUNK)):
            yield 1, content
        while not self.tty and (head := _exactly(stream, 8)):
            # Docker Engine API, "Stream format": kind, three zero bytes, length; then as many bytes.
            kind, length = struct.unpack(">BxxxL", head)
            yield (_STDERR if kind == _STDERR else 1), _exactly(stream, length)

    def resize(self, rows: int, columns: int) -> None:
        """Tells the command's terminal its size."""
        self.client.exec_resize(self.id, height=rows, width=columns)

    def exit_code(self) -> int:
        """The command's exit code, once ``output`` has ended."""
        self.connection.close()
        return int(self.client.exec_inspect(self.id)["ExitCode"] or 0)


def start(machine: Machine, container_id: str, command: Command) -> Execution:
    """Starts the command. No timeout: it may be quiet for as long as it likes."""
    client = machine.client(timeout_s=60)
    made = client.exec_create(
        container_id,
        list(command.argv),
        user=command.user,
        workdir=command.workdir,
        environment=dict(command.environment),
        tty=command.tty,
        stdin=True,
    )
    raw: Any = client.exec_start(made["Id"], tty=command.tty, socket=True)
    # A SocketIO; the socket below it can be half closed, which is how stdin ends. Duplicated, as the SDK
    # closes its own when the response is collected.
    connection = raw._sock.dup()
    ahead = _read_ahead(raw)
    connection.settimeout(None)
    return Execution(client, made["Id"], connection, command.tty, ahead)


def _read_ahead(raw: Any) -> bytes:
    """What the HTTP library has read beyond the engine's answer: of a busy engine both may come in one piece."""
    # With no time to wait, peek gives what is in its buffer, or what has come by now.
    raw._sock.settimeout(0)
    return bytes(raw._response.raw._fp.fp.peek())


def capture(machine: Machine, container_id: str, command: Command, stdin: Iterable[bytes] = ()) -> Output:
    """Runs the command to its end, with ``stdin`` as its input; nothing is printed."""
    execution = start(machine, container_id, command)
    feeder = threading.Thread(target=_feed, args=(execution, stdin), daemon=True)
    feeder.start()
    return finish(execution)


def finish(execution: Execution) -> Output:
    """Waits for the command's end and gives everything it wrote."""
    parts: dict[int, list[bytes]] = {1: [], _STDERR: []}
    for kind, content in execution.output():
        parts[kind].append(content)
    return Output(execution.exit_code(), b"".join(parts[1]), b"".join(parts[_STDERR]))


def send_signal(machine: Machine, container_id: str, name: str, setting: str) -> None:
    """``send_signal(machine, id, "INT", "MARK=17")``: to every process with that setting in its environment.

    The engine has no call that signals an exec; a setting given to the command marks it and what it starts.
    """
    script = 'for p in $(grep -lszxF "$1" /proc/[0-9]*/environ); do p=${p%/environ}; kill -s "$0" "${p#/proc/}"; done'
    capture(machine, container_id, Command("root", ("sh", "-c", script, name, setting)))


def user_environment(name: str) -> Mapping[str, str]:
    """What a login gives to an ordinary user of the lab."""
    return {"HOME": f"/home/{name}", "USER": name, "LOGNAME": name, "SHELL": "/bin/bash", "PATH": USER_PATH}


def pump(source: int, execution: Execution) -> None:
    """Copies file descriptor ``source`` to the command's stdin until either ends."""
    _feed(execution, iter(lambda: os.read(source, _CHUNK), b""))


def write_all(target: int, content: bytes) -> None:
    """Writes everything to file descriptor ``target``, which may take it in parts."""
    view = memoryview(content)
    while view:
        view = view[os.write(target, view) :]


def _feed(execution: Execution, parts: Iterable[bytes]) -> None:
    with contextlib.suppress(OSError):
        for part in parts:
            execution.send(part)
    execution.end_input()


class _Continued:
    """Bytes that were read already, and then those of a connection."""

    def __init__(self, ahead: bytes, connection: socket.socket) -> None:
        self._ahead = ahead
        self._connection = connection
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def read(self, most: int) -> bytes:
        if not self._ahead:
            # Not for ever: a signal that arrives in the moment before a wait does not end it.
            while not self._poll.poll(_WAKE_MS):
                pass
            return self._connection.recv(most)
        content, self._ahead = self._ahead[:most], self._ahead[most:]
        return content


def _exactly(stream: _Continued, length: int) -> bytes:
    content = b""
    while len(content) < length and (part := stream.read(length - len(content))):
        content += part
    return content
