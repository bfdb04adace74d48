"""The submitter's account inside the containers: the image's own files, with the submitter added."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from dgrid.nodes.engine import Engine
from dgrid.nodes.pull import ImageIds
from dgrid.plan.accounts import GROUP, PASSWD, group_text, passwd_text
from dgrid.plan.allocation import Submitter
from dgrid.plan.files import mount_at
from dgrid.plan.request import CreateRequest, FileToPlace

_WAIT_S = 0.2
"""For another node that reads the same file: a slow one is not to delay all."""

_Merge = Callable[[str, Submitter], str]
"""Makes the text of an account file from that of the image."""


class Accounts:
    """Reads each image's account files once, not on each node. Safe between threads."""

    def __init__(self, submitter: Submitter, image_ids: ImageIds) -> None:
        self._submitter = submitter
        self._image_ids = image_ids
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], FileToPlace] = {}
        self._reading: dict[tuple[str, str], threading.Lock] = {}

    def files(self, engine: Engine, container_id: str, request: CreateRequest) -> Iterator[FileToPlace]:
        """/etc/passwd and /etc/group for a created container. Raises EngineError.

        One that the definition mounts is left alone: the engine would write through the mount, as root.
        """
        for path, merge in ((PASSWD, passwd_text), (GROUP, group_text)):
            if mount_at(request.mounts, path) is None:
                yield self._merged(engine, container_id, request.image, path, merge)

    def _merged(self, engine: Engine, container_id: str, image: str, path: str, merge: _Merge) -> FileToPlace:
        key = (self._image_ids[engine.node, image], path)
        with self._lock:
            reading = self._reading.setdefault(key, threading.Lock())
        is_turn = key not in self._made and reading.acquire(timeout=_WAIT_S)
        try:
            if key not in self._made:
                text = (engine.read_file(container_id, path) or b"").decode(errors="replace")
                self._made[key] = FileToPlace(path, merge(text, self._submitter).encode(), 0o644, by_root=True)
            return self._made[key]
        finally:
            if is_turn:
                reading.release()
