"""The submitter's account inside the containers: the image's own files, with the submitter added."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from dgrid.nodes.engine import Engine
from dgrid.nodes.pull import ImageIds
from dgrid.plan.accounts import GROUP, PASSWD, group_text, passwd_text
from dgrid.plan.allocation import Submitter
from dgrid.plan.files import mount_at
from dgrid.plan.request import CreateRequest, FileToPlace


class Accounts:
    """Reads each image's account files once, not on each node. Safe between threads."""

    def __init__(self, submitter: Submitter, image_ids: ImageIds) -> None:
        self._submitter = submitter
        self._image_ids = image_ids
        self._lock = threading.Lock()
        self._read: dict[tuple[str, str], str] = {}

    def files(self, engine: Engine, container_id: str, request: CreateRequest) -> Iterator[FileToPlace]:
        """/etc/passwd and /etc/group for a created container. Raises EngineError.

        One that the definition mounts is left alone: the engine would write through the mount, as root.
        """
        for path, merge in ((PASSWD, passwd_text), (GROUP, group_text)):
            if mount_at(request.mounts, path) is None:
                merged = merge(self._image_text(engine, container_id, request.image, path), self._submitter)
                yield FileToPlace(path, merged.encode(), 0o644, by_root=True)

    def _image_text(self, engine: Engine, container_id: str, image: str, path: str) -> str:
        key = (self._image_ids[engine.node, image], path)
        with self._lock:
            if key in self._read:
                return self._read[key]
        text = (engine.read_file(container_id, path) or b"").decode(errors="replace")
        with self._lock:
            return self._read.setdefault(key, text)
