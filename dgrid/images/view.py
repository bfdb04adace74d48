"""What rules look at: the same for a Dockerfile and for a finished image. Values only."""

from __future__ import annotations

from enum import Enum

from dgrid.plan.allocation import Submitter
from dgrid.record import record

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""An engine's, for images that set no PATH."""


@record
class Said:
    """``Said("/data", "Dockerfile:12")``: something, and where it is said."""

    value: str
    place: str


class Need(Enum):
    """What the user must be able to do with a file of the image."""

    RUN = "run"
    READ = "read"
    WRITE = "write to"
    SETTINGS = "be told by"


class Kind(Enum):
    """What is at a path of the image."""

    FILE = "file"
    DIRECTORY = "directory"
    MISSING = "missing"


@record
class FileFacts:
    """A file of the image that matters. ``name`` is as it is asked for (``redis-server``), ``place`` for messages.

    ``uid``, ``gid`` and ``mode`` (with the setuid bits) are None where a Dockerfile leaves them open. ``text`` is
    its content if it is a script or a setting. ``shut`` is the first directory on the way that the user cannot enter.
    """

    name: str
    need: Need
    place: str
    kind: Kind = Kind.FILE
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    text: str | None = None
    shut: str | None = None

    def allows(self, user: Submitter, bits: int) -> bool:
        """Whether the user has all of ``bits`` (4 read, 2 write, 1 execute). True where it is not known."""
        if self.mode is None or self.uid is None:
            return True
        if self.uid == user.uid:
            granted = self.mode >> 6
        else:
            granted = self.mode >> 3 if self.gid in (user.gid, *user.groups) else self.mode
        return granted & bits == bits


@record
class View:
    """An image, or what a Dockerfile will make, as far as rules ask.

    ``name`` is what messages call it; ``submitter`` whom it is to run as. ``user`` is None where nothing is said.
    ``ports`` are as exposed (``22/tcp``). ``entry`` is entrypoint and command together, empty where there is none.
    ``bases`` are names of images that must mean the same tomorrow. ``architecture`` is in the words of engines
    (``amd64``), None where open; ``node_architecture`` is that of where it is to run. ``runs`` and ``buildkit`` are
    a Dockerfile's: RUN instructions, and what only BuildKit understands. ``volumes_open`` says that nobody has looked
    whose the directories of the volumes are.
    """

    name: str
    submitter: Submitter
    user: Said | None = None
    volumes: tuple[Said, ...] = ()
    ports: tuple[Said, ...] = ()
    entry: tuple[str, ...] = ()
    entry_place: str = ""
    files: tuple[FileFacts, ...] = ()
    bases: tuple[Said, ...] = ()
    architecture: Said | None = None
    node_architecture: str | None = None
    runs: tuple[Said, ...] = ()
    buildkit: tuple[Said, ...] = ()
    volumes_open: bool = False
