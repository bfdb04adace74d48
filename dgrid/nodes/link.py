"""The one connection from the head to a node: what every kind of link offers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from dgrid.record import record


class LinkKind(Enum):
    """How nodes other than this machine are reached.

    AUTO: by paramiko, unless the ssh settings need OpenSSH; by the batch system's own command where ssh is refused.
    """

    AUTO = "auto"
    PARAMIKO = "paramiko"
    OPENSSH = "openssh"
    BATCH = "batch"


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


@record
class CommandResult:
    """What a script on the node printed on stdout and stderr together, and its exit code."""

    exit_code: int
    output: str


class Resident(Protocol):
    """A script that stays on the node until it is closed, and learns of that by the end of its input."""

    def read_line(self, timeout_s: float) -> str:
        """Its next line of output without the line's end; empty when it has ended. TimeoutError when none comes."""

    def received(self) -> tuple[list[str], bool]:
        """The lines that have come since the last look, without waiting; and whether it has ended."""

    def send(self, data: bytes) -> None:
        """Write to its input. A script that has gone is no error."""

    def close(self) -> None:
        """End its input, and so the script, and wait for that; one that does not end within seconds is killed."""

    def release(self) -> None:
        """End its input, and leave it to what it does then."""


class Link(Protocol):
    """The connection to one node. Safe to use from several threads.

    ``scratch`` is a directory of this machine with files of the link, None if it has none; ``close`` removes it.
    ``in_job`` says whether what it starts on the node is a part of the job that dgrid is in. ``remark`` is what there
    is to say of it, "" if it is as usual.
    """

    node: str
    scratch: str | None
    in_job: bool
    remark: str

    def run(self, script: str, timeout_s: float) -> CommandResult:
        """Run a POSIX shell script on the node as the submitter. Raises LinkError."""

    def stay(self, script: str, outlives_link: bool = False, name: str = "dgrid") -> Resident:
        """Start a POSIX shell script that reads its input until closed; it is to speak before it is spoken to.

        It is closed with the link, unless it ``outlives_link``: then it is only released. ``name``, plain words,
        ends its command line, for those who look for it. Raises LinkError.
        """

    def dial(self, socket_path: str, timeout_s: float) -> Stream:
        """A stream to a unix socket on the node. Raises EngineUnreachable or LinkError."""

    def half_close(self, stream: Stream) -> None:
        """Tell the far end of a dialled stream that no more bytes will come."""

    def is_lost(self) -> bool:
        """Whether the connection has ended."""

    def addresses(self) -> tuple[str | None, str | None]:
        """This machine's and the node's IP address, as this connection uses them; None where it does not tell."""

    def cut(self) -> None:
        """End the connection at once, whatever is under way: nobody answers at its far end."""

    def close(self) -> None:
        """Cut the connection and everything that goes over it. May be called twice."""


Dial = Callable[[float], Stream]


def resident_command(script: str, name: str) -> str:
    """The command to start a resident by, for any login shell, csh included: it reads ``script`` from its input.

    Nothing else may be sent before the script has spoken: not every ``head`` leaves what follows unread.
    """
    return f"exec sh -c 'eval \"$(head -c {len(script.encode())})\"' {name}"


def ssh_errors() -> tuple[type[Exception], ...]:
    """What streams over ssh raise beside OSError and EOFError; empty as long as there cannot be one."""
    # Loading paramiko for its exception alone would cost a run on this machine 0.2 s.
    # Another thread may be at loading it just now.
    error = getattr(sys.modules.get("paramiko"), "SSHException", None)
    return (error,) if error else ()
