"""The link to another node by any command that runs one there: a batch system's own, such as ``srun`` or ``oarsh``.

One such command a node, its carrier, for all streams: it starts a shell there, which becomes a Python with the far end
of a switch. The node needs python3; nothing stays there.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from dgrid.errors import EngineUnreachable, LinkDropped, LinkError
from dgrid.nodes import switch, switch_node
from dgrid.nodes.link import CommandResult, Stream, resident_command
from dgrid.nodes.link_local import UnixStream
from dgrid.nodes.switch import Channel, Switch

_READY, _LACKS = b"dgrid-carrier-ready\n", b"dgrid-carrier-lacks "
_CLOSE_S, _END_S = 5.0, 1.0
_PROGRAM = """
command -v python3 >/dev/null 2>&1 || { echo dgrid-carrier-lacks python3; exit 1; }
exec python3 -c '
import os, sys, types
if sys.version_info < (3, 7):
    print("dgrid-carrier-lacks python3 from 3.7 on (it is %%d.%%d)" %% sys.version_info[:2])
    sys.exit(1)
os.write(1, b"dgrid-carrier-" + b"ready\\n")
for name, size in (("switch", %d), ("switch_node", %d)):
    text = b""
    while len(text) < size:
        data = os.read(0, size - len(text))
        if not data: sys.exit(1)
        text += data
    module = sys.modules["dgrid.nodes." + name] = types.ModuleType("dgrid.nodes." + name)
    exec(compile(text, name, "exec"), module.__dict__)
module.serve()
'
"""


class CommandResident:
    """A script on the node that ends when its input does."""

    def __init__(self, stream: UnixStream) -> None:
        self._stream = stream
        self._received = b""
        self._ended = False

    def read_line(self, timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._received and not self._ended:
            self._receive(max(0.0, deadline - time.monotonic()))
        line, _, self._received = self._received.partition(b"\n")
        return line.decode(errors="replace")

    def received(self) -> tuple[list[str], bool]:
        while not self._ended:
            try:
                self._receive(0)
            except TimeoutError:
                break
        *lines, self._received = self._received.split(b"\n")
        return [line.decode(errors="replace") for line in lines], self._ended

    def _receive(self, timeout_s: float) -> None:
        if not _is_readable(self._stream.fileno(), timeout_s):
            raise TimeoutError
        data = _received(self._stream)
        self._received += data
        self._ended = not data

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it has gone
            self._stream.settimeout(_CLOSE_S)
            self._stream.sendall(data)

    def close(self) -> None:
        self.release()
        deadline = time.monotonic() + _CLOSE_S
        with contextlib.suppress(TimeoutError, ValueError):  # it stays, or another thread has closed it
            while not self._ended:
                self._receive(max(0.0, deadline - time.monotonic()))
        self._stream.close()

    def release(self) -> None:
        with contextlib.suppress(OSError):  # it has gone
            self._stream.shutdown(socket.SHUT_WR)


class CommandLink:
    """A running carrier to ``node``; made by ``connect``. ``remark`` says why it is used, "" where it was asked for."""

    def __init__(self, node: str, carrier: subprocess.Popen[bytes], errors: IO[bytes], name: str) -> None:
        assert carrier.stdin is not None
        assert carrier.stdout is not None
        self.node = node
        self.scratch: str | None = None
        self.in_job = True
        self.remark = ""
        self._name = name
        self._carrier = carrier
        self._errors = errors
        self._switch = Switch(carrier.stdout.fileno(), carrier.stdin.fileno())
        self._thread = threading.Thread(target=self._switch.run, daemon=True)
        self._residents: list[CommandResident] = []
        self._thread.start()

    def run(self, script: str, timeout_s: float) -> CommandResult:
        channel, stream = self._open(b"rexec sh -s", timeout_s)
        output, deadline = b"", time.monotonic() + timeout_s
        try:
            stream.settimeout(timeout_s)
            stream.sendall(script.encode())
            stream.shutdown(socket.SHUT_WR)
            while data := _within(stream, deadline):
                output += data
        except TimeoutError as error:
            raise LinkError(self.node, f"a command did not end within {timeout_s:g} s") from error
        except OSError:
            pass  # it ended before it had read all, or the carrier did
        finally:
            stream.close()
        if channel.exit_code is None:
            raise self._dropped()
        return CommandResult(channel.exit_code, output.decode(errors="replace"))

    def stay(self, script: str, outlives_link: bool = False, name: str = "dgrid") -> CommandResident:
        kind = b"l" if outlives_link else b"d"
        _, stream = self._open(kind + resident_command(script, name).encode(), _CLOSE_S)
        resident = CommandResident(stream)
        resident.send(script.encode())
        if not outlives_link:
            self._residents.append(resident)
        return resident

    def dial(self, socket_path: str, timeout_s: float) -> Stream:
        _, stream = self._open(b"s" + socket_path.encode(), timeout_s)
        return stream

    def half_close(self, stream: Stream) -> None:
        assert isinstance(stream, UnixStream)
        stream.shutdown(socket.SHUT_WR)

    def is_lost(self) -> bool:
        return self._switch.has_ended

    def addresses(self) -> tuple[str | None, str | None]:
        return None, None

    def cut(self) -> None:
        self._switch.cut()
        self._thread.join(_CLOSE_S)
        _end(self._carrier)

    def close(self) -> None:
        while self._residents:
            self._residents.pop().close()
        self._switch.stop()
        self._thread.join(_CLOSE_S)
        self._switch.cut()  # the carrier may not take what is to be written
        self._thread.join(_CLOSE_S)
        _close_pipes(self._carrier)
        try:
            # What outlives the link, a leash that still removes something, keeps the carrier.
            self._carrier.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            return
        self._errors.close()

    def _open(self, what: bytes, timeout_s: float) -> tuple[Channel, UnixStream]:
        """Raises EngineUnreachable where the node refuses it, and LinkDropped."""
        far, near = socket.socketpair()
        far.setblocking(False)
        descriptor = far.detach()
        channel, stream = Channel(descriptor, descriptor), UnixStream(fileno=near.detach())
        try:
            self._switch.open(channel, what)
        except OSError as error:
            os.close(descriptor)
            stream.close()
            raise self._dropped() from error
        if not channel.answered.wait(timeout_s):
            stream.close()
            raise LinkError(self.node, f"no answer by `{self._name}` within {timeout_s:g} s")
        if channel.refusal is not None:
            stream.close()
            if self._switch.has_ended:
                raise self._dropped()
            place = what[1:].decode()
            raise EngineUnreachable(self.node, f"cannot reach the engine at {place} ({channel.refusal})")
        stream.settimeout(timeout_s)
        return channel, stream

    def _dropped(self) -> LinkDropped:
        stray = self._switch.stray[:200].decode(errors="replace").strip().partition("\n")[0]
        why = f"there was something else in it: {stray!r}" if self._switch.stray else _last_words(self._errors)
        return LinkDropped(self.node, f"the connection by `{self._name}` is lost ({why})")


def connect(node: str, command: tuple[str, ...], timeout_s: float) -> CommandLink:
    """``connect("node2", ("oarsh",), 10)``: start ``oarsh node2 sh``, and the far end in it. Raises LinkError."""
    name = command[0]
    # A file, which a carrier that goes on alone can write to.
    errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the link
    try:
        carrier = subprocess.Popen(
            [*command, node, "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    except OSError as error:
        errors.close()
        raise LinkError(node, f"`{name}` cannot be run on this machine ({error.strerror})") from error
    try:
        _start(node, name, carrier, errors, timeout_s)
    except LinkError:
        _end(carrier)
        errors.close()
        raise
    return CommandLink(node, carrier, errors, shlex.join(command))


def _start(node: str, name: str, carrier: subprocess.Popen[bytes], errors: IO[bytes], timeout_s: float) -> None:
    """Have the shell at the far end become a switch. It gets no byte more than it has asked for."""
    assert carrier.stdin is not None
    assert carrier.stdout is not None
    programs = [Path(str(module.__file__)).read_bytes() for module in (switch, switch_node)]
    deadline, said = time.monotonic() + timeout_s, b""
    try:
        os.write(carrier.stdin.fileno(), (_PROGRAM % tuple(map(len, programs))).encode())
        while _READY not in said:
            if not _is_readable(carrier.stdout.fileno(), deadline - time.monotonic()):
                raise LinkError(node, f"`{name}` brought no shell there within {timeout_s:g} s")
            data = os.read(carrier.stdout.fileno(), 4096)
            said += data  # start-up files of the login shell may have something to say before
            if _LACKS in said and b"\n" in said.partition(_LACKS)[2]:
                lacks = said.partition(_LACKS)[2].partition(b"\n")[0].decode(errors="replace")
                raise LinkError(node, f"there is no {lacks} there, which a connection by `{name}` needs")
            if not data:
                raise LinkError(node, f"`{name}` cannot connect ({_last_words(errors)})")
        carrier.stdin.write(b"".join(programs))
        carrier.stdin.flush()
    except OSError as error:
        raise LinkError(node, f"`{name}` cannot connect ({_last_words(errors)})") from error


def _end(carrier: subprocess.Popen[bytes]) -> None:
    """And all of its group, as the command may be a wrapper. One that is not ours to kill has the end of its input."""
    _close_pipes(carrier)
    if carrier.returncode is None:  # else its number may be another's
        # oarsh becomes the user oar: sources/core/tools/oardo.c.in of https://github.com/oar-team/oar.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.killpg(carrier.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        carrier.wait(timeout=_END_S)


def _close_pipes(carrier: subprocess.Popen[bytes]) -> None:
    for pipe in filter(None, (carrier.stdin, carrier.stdout)):
        with contextlib.suppress(OSError):  # what it did not take
            pipe.close()


def _last_words(errors: IO[bytes]) -> str:
    lines: list[str] = []
    with contextlib.suppress(ValueError):  # it is closed
        errors.seek(0)
        lines = errors.read()[-4096:].decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "no message"


def _is_readable(descriptor: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)  # a ValueError where it is closed
    return bool(poll.poll(max(0.0, timeout_s) * 1000))


def _within(stream: UnixStream, deadline: float) -> bytes:
    if not _is_readable(stream.fileno(), deadline - time.monotonic()):
        raise TimeoutError
    return _received(stream)


def _received(stream: UnixStream) -> bytes:
    try:
        return stream.recv(1 << 16)
    except OSError:
        return b""
