"""The link to another node by paramiko: one ssh connection, one channel a stream (PROTOCOL of OpenSSH, section 2.4).

Opening an engine's socket this way takes a millisecond, needs no docker command on the node, and does not count
against sshd's MaxSessions.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, cast

from dgrid.errors import EngineUnreachable, LinkDropped, LinkError
from dgrid.nodes.known_hosts import KnownHosts
from dgrid.nodes.link import CommandResult, Stream, resident_command
from dgrid.nodes.ssh_keys import PrivateKeys
from dgrid.nodes.ssh_login import check_host_key, log_in
from dgrid.nodes.ssh_settings import SshSettings
from dgrid.nodes.ssh_transport import UnixSockets, new_transport

if TYPE_CHECKING:
    from paramiko import Channel, Transport

_SESSIONS = 6  # at a time: sshd allows 10 (MaxSessions in sshd_config(5)), and residents have theirs
# Requests are small, and each waits for its answer: Nagle's algorithm held some back until a delayed ACK, 40 ms.
# A node that has lost its power says nothing: after about 25 s without an answer the connection is lost. tcp(7)
# Longer than a lease, which is to tell first, and in which a drop of the network has no effect.
_KEEPALIVE = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 25_000),
)
_QUIET_S = 30.0
# Not to wait up to 12 s, after a drop, until TCP tries again. TCP_RTO_MAX_MS, which Linux has from 6.15 on.
_RETRY_AT_MOST = (socket.IPPROTO_TCP, 44, 1000)


class ParamikoResident:
    """A script on the node whose input is an ssh channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._received = b""

    def read_line(self, timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._received:
            self._channel.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._channel.recv(4096)
            if not data:
                break
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.decode(errors="replace")

    def received(self) -> tuple[list[str], bool]:
        # What the script has left behind may hold its output open: its exit is the end.
        ended = bool(self._channel.exit_status_ready() or self._channel.closed or self._channel.eof_received)
        while self._channel.recv_ready():
            self._received += self._channel.recv(4096)
        *lines, self._received = self._received.split(b"\n")
        return [line.decode(errors="replace") for line in lines], ended

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._channel.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._channel.shutdown_write()
            self._channel.settimeout(5)
            while self._channel.recv(4096):
                pass
        self._channel.close()

    def release(self) -> None:
        self._channel.close()


class ParamikoLink:
    """One ssh connection to ``node``; made by ``connect``."""

    def __init__(self, node: str, transport: Transport) -> None:
        self.node = node
        self.scratch: str | None = None
        self.in_job = False
        self.remark = ""
        self._transport = transport
        # paramiko closes a channel that nobody refers to any more.
        self._residents: list[ParamikoResident] = []
        self._sessions = threading.BoundedSemaphore(_SESSIONS)

    def run(self, script: str, timeout_s: float) -> CommandResult:
        from paramiko import SSHException

        try:
            with self._sessions:
                result = self._run(script, timeout_s)
        except TimeoutError as error:
            raise LinkError(self.node, f"a command did not end within {timeout_s:g} s") from error
        except (SSHException, EOFError, OSError) as error:
            raise self._lost(error) from error
        if result.exit_code == -1:  # paramiko's for none: nothing but the connection's end, or a signal, ends sh so
            raise LinkDropped(self.node, "the ssh connection is lost (a command there did not come to its end)")
        return result

    def _run(self, script: str, timeout_s: float) -> CommandResult:
        deadline = time.monotonic() + timeout_s
        with self._transport.open_session(timeout=timeout_s) as channel:
            # `exec sh -s` means the same in every login shell, csh and fish included.
            channel.set_combine_stderr(True)
            channel.settimeout(timeout_s)
            channel.exec_command("exec sh -s")
            channel.sendall(script.encode())
            channel.shutdown_write()
            output = _read_all(channel, deadline)
            if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            return CommandResult(channel.recv_exit_status(), output)

    def stay(self, script: str, outlives_link: bool = False, name: str = "dgrid") -> ParamikoResident:
        from paramiko import SSHException

        try:
            channel = self._transport.open_session(timeout=10)
            channel.exec_command(resident_command(script, name))
        except (SSHException, EOFError, OSError) as error:
            raise self._lost(error) from error
        resident = ParamikoResident(channel)
        resident.send(script.encode())
        if not outlives_link:
            self._residents.append(resident)
        return resident

    def dial(self, socket_path: str, timeout_s: float) -> Stream:
        from paramiko import ChannelException, SSHException

        try:
            channel = cast("UnixSockets", self._transport).open_unix_socket(socket_path, timeout_s)
        except ChannelException as error:
            raise EngineUnreachable(self.node, _refusal(socket_path, error.code, error.text)) from error
        except (SSHException, EOFError, OSError) as error:
            if self._transport.is_active():  # of refusals to several threads at once, paramiko tells one only
                raise EngineUnreachable(self.node, _refusal(socket_path, 0, str(error))) from error
            raise self._lost(error) from error
        channel.settimeout(timeout_s)
        return cast(Stream, channel)

    def half_close(self, stream: Stream) -> None:
        cast("Channel", stream).shutdown_write()

    def is_lost(self) -> bool:
        return not self._transport.is_active()

    def addresses(self) -> tuple[str | None, str | None]:
        sock = cast(socket.socket, self._transport.sock)
        return sock.getsockname()[0], sock.getpeername()[0]

    def cut(self) -> None:
        _close(self._transport)

    def close(self) -> None:
        while self._residents:
            self._residents.pop().close()
        _close(self._transport)

    def _lost(self, error: BaseException) -> LinkError:
        return LinkDropped(self.node, f"the ssh connection is lost ({error or type(error).__name__})")


def connect(
    node: str, settings: SshSettings, known_hosts: KnownHosts, keys: PrivateKeys, timeout_s: float
) -> ParamikoLink:
    """Connect, check the host key, log in with a key. Never asks for anything. Raises LinkError."""
    from paramiko import SSHException

    trusted = known_hosts.keys(settings.known_as)
    try:
        sock = socket.create_connection((settings.host, settings.port), timeout=timeout_s)
    except socket.gaierror as error:
        raise LinkError(node, f"the name {settings.host} does not resolve ({error.strerror})") from error
    except TimeoutError as error:
        raise LinkError(node, f"no answer from port {settings.port} within {timeout_s:g} s") from error
    except OSError as error:
        raise LinkError(node, f"cannot connect to ssh on port {settings.port} ({error.strerror})") from error
    for option in _KEEPALIVE:
        sock.setsockopt(*option)
    with contextlib.suppress(OSError):
        sock.setsockopt(*_RETRY_AT_MOST)
    began = time.monotonic()
    transport = new_transport(sock, trusted, timeout_s)
    try:
        transport.start_client(timeout=timeout_s)
        check_host_key(node, settings, trusted, transport.get_remote_server_key())
        log_in(node, settings, keys, transport)
    except (SSHException, EOFError, OSError) as error:
        transport.close()
        if time.monotonic() - began >= timeout_s:
            raise LinkError(node, f"ssh on port {settings.port} did not answer within {timeout_s:g} s") from error
        # sshd drops connections at random while too many log in (MaxStartups in sshd_config(5)).
        raise LinkDropped(node, f"ssh ended while connecting ({error or type(error).__name__})") from error
    except LinkError:
        transport.close()
        raise
    # paramiko looks ten times a second whether a quiet connection was closed: for a thousand, half a core.
    sock.settimeout(_QUIET_S)
    return ParamikoLink(node, transport)


def _close(transport: Transport) -> None:
    """Close it, and wake paramiko's thread, which waits for the other side; closing alone does not."""
    twin = None
    with contextlib.suppress(OSError):  # closed already
        twin = cast(socket.socket, transport.sock).dup()
    transport.close()
    if twin is not None:
        with twin, contextlib.suppress(OSError):  # not connected any more
            twin.shutdown(socket.SHUT_RDWR)


def _refusal(socket_path: str, code: int, text: str) -> str:
    if code == 1:
        return "sshd forbids opening sockets; its AllowStreamLocalForwarding must be yes (ask your administrator)"
    # Most versions of sshd give the same answer to all of these.
    return (
        f"cannot reach the engine at {socket_path} through ssh ({text or 'refused'}): no engine listens there, you may "
        "not use it, or sshd's AllowStreamLocalForwarding forbids it"
    )


def _read_all(channel: Channel, deadline: float) -> str:
    parts = []
    while data := channel.recv(65536):
        parts.append(data)
        channel.settimeout(max(0.001, deadline - time.monotonic()))
    return b"".join(parts).decode(errors="replace")
