"""The one connection from the head to a node: what every kind of link offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class LinkKind(Enum):
    """How nodes other than this machine are reached. AUTO: paramiko, unless the ssh settings need OpenSSH."""

    AUTO = "auto"
    PARAMIKO = "paramiko"
    OPENSSH = "openssh"


class Stream(Protocol):
    """A two-way byte stream, as a connected socket is one; a paramiko channel is another."""

    def recv(self, size: int, /) -> bytes:
        """At least one byte and at most ``size``; empty at the end of the stream."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of ``data``."""

    def settimeout(self, timeout_s: float | None, /) -> None:
        """Bound every later call; None waits for ever."""

    def close(self) -> None:
        """End both directions; a ``recv`` waiting in another thread returns or raises."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a script on the node printed on stdout and stderr together, and its exit code."""

    exit_code: int
    output: str


class Resident(Protocol):
    """A script that stays on the node until it is closed, and learns of that by the end of its input."""

    def read_line(self, timeout_s: float) -> str:
        """Its next line of output without the line's end; empty when it has ended. TimeoutError when none comes."""

    def close(self) -> None:
        """End its input, and so the script."""


class Link(Protocol):
    """The connection to one node. Safe to use from several threads."""

    node: str

    def run(self, script: str, timeout_s: float) -> CommandResult:
        """Run a POSIX shell script on the node as the submitter. Raises LinkError."""

    def stay(self, script: str) -> Resident:
        """Start a one-line shell script, free of ``'`` and ``!``, that lives until closed. Raises LinkError."""

    def dial(self, socket_path: str, timeout_s: float) -> Stream:
        """A stream to a unix socket on the node. Raises EngineUnreachable or LinkError."""

    def half_close(self, stream: Stream) -> None:
        """Tell the far end of a dialled stream that no more bytes will come."""

    def addresses(self) -> tuple[str | None, str | None]:
        """This machine's and the node's IP address, as this connection uses them; None where it does not tell."""

    def close(self) -> None:
        """Cut the connection and everything that goes over it. May be called twice."""


Dial = Callable[[float], Stream]
