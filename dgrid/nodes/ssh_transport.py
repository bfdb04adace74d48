"""paramiko's transport, able to open unix sockets on the far side (PROTOCOL of OpenSSH, section 2.4)."""

from __future__ import annotations

import socket
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from dgrid.nodes.known_hosts import TrustedKey

if TYPE_CHECKING:
    from paramiko import Channel, Message, Transport

_STREAMLOCAL = "direct-streamlocal@openssh.com"
# How the message that opens such a channel begins: its number (RFC 4254, section 9), and the kind with its length.
_OPEN_STREAMLOCAL = bytes([90]) + len(_STREAMLOCAL).to_bytes(4, "big") + _STREAMLOCAL.encode()

_ENDING = (96, 97)  # SSH_MSG_CHANNEL_EOF and SSH_MSG_CHANNEL_CLOSE (RFC 4254, section 9)


def new_transport(sock: socket.socket, trusted: tuple[TrustedKey, ...], timeout_s: float) -> Transport:
    """A transport over a connected socket, not started; it asks first for host keys of the kinds that are trusted."""
    transport: Transport = _transport_class()(sock)
    transport.banner_timeout = timeout_s
    transport.auth_timeout = timeout_s
    known = {key_type for t in trusted for key_type in _algorithms(t.key_type)}
    options = transport.get_security_options()
    options.key_types = sorted(options.key_types, key=lambda name: name not in known)
    # The others need a MAC, which paramiko compares byte by byte in Python: a third of all that a node costs.
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
    return transport


def _algorithms(key_type: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa") if key_type == "ssh-rsa" else (key_type,)


class UnixSockets(Protocol):
    """What ``new_transport`` makes can do beside what every Transport can."""

    def open_unix_socket(self, socket_path: str, timeout_s: float) -> Channel:
        """A channel to a unix socket on the far side. Raises paramiko's exceptions."""


@cache
def _transport_class() -> Any:
    """paramiko's Transport with channels to unix sockets, for which it has no call of its own.

    The message that opens such a channel ends in the path and two unused fields; the bytes before these are what
    paramiko writes for every kind of channel.
    """
    import logging

    from paramiko import Transport

    # It logs what is reported as an error of ours: that is for who sets up a log, and not for stderr else.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())

    class UnixSocketTransport(Transport):
        def __init__(self, sock: socket.socket) -> None:
            super().__init__(sock)
            self._opening = threading.local()

        def open_unix_socket(self, socket_path: str, timeout_s: float) -> Channel:
            self._opening.path = socket_path
            try:
                return self.open_channel(_STREAMLOCAL, timeout=timeout_s)
            finally:
                self._opening.path = None

        def _send_user_message(self, data: Message) -> None:
            path = getattr(self._opening, "path", None)
            # Between opening and sending, the garbage collector may close some other channel in this very thread.
            if path is not None and data.asbytes().startswith(_OPEN_STREAMLOCAL):
                data.add_string(path)
                data.add_string("")
                data.add_int(0)
                self._opening.path = None
            try:
                super()._send_user_message(data)  # type: ignore[misc]  # private to paramiko, hence not in its stubs
            except (EOFError, OSError):
                if data.asbytes()[0] not in _ENDING:
                    raise  # to end a channel of a broken connection, nobody needs to be told

    return UnixSocketTransport
