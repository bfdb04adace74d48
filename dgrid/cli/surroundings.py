"""What a job's process sees around it: files and commands of the batch system, and this machine's name."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from dgrid.batch.sources import Command, Surroundings
from dgrid.errors import UsageError

_LARGEST_FILE_BYTES = 16 * 1024 * 1024


def surroundings(environment: Mapping[str, str]) -> Surroundings:
    """The environment, and what it leads to on this machine."""
    return Surroundings(environment, _read, _ask, socket.gethostname())


def read_limited(path: str, kind: str, unread: str, large: str) -> bytes:
    """A file of nodes, or of the job: ``kind``, as in "the node file". Raises UsageError.

    ``unread`` and ``large`` are the remedies where it cannot be read, and where it is no such file by its size.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(_LARGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path}: cannot read {kind} ({why}) — {unread}") from error
    if len(text) > _LARGEST_FILE_BYTES:
        raise UsageError(f"{path}: more than 16 MiB, so this is no file of nodes — {large}")
    return text


def _read(path: str) -> bytes:
    return read_limited(
        path,
        "this file of the job",
        "is the job still there? Otherwise give its nodes with --hostfile",
        "give the nodes with --hostfile",
    )


def _ask(command: Command) -> str | None:
    from dgrid.nodes.walltime import ask

    return ask(command)
