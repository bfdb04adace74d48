"""Looking into an image: a container of it that never starts, whose files the engine hands out."""

from __future__ import annotations

import base64
import http
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from dgrid.errors import EngineError, EngineNotFound
from dgrid.images.machine import Workshop
from dgrid.images.view import FileFacts, Kind, Need
from dgrid.nodes.engine_http import BASE_URL, checked, our_errors
from dgrid.plan.allocation import Submitter
from dgrid.plan.facts import EngineKind
from dgrid.plan.naming import LABEL_USER

LABEL_LOOK = "io.dgrid.image.look"
"""The label of the containers that are made to look into images."""

_LARGEST_TEXT_BYTES = 1 << 16
_CALL_S = 60.0
_GO_DIRECTORY = 1 << 31  # os.ModeDir: https://pkg.go.dev/io/fs#FileMode
_MOST_LINKS = 40  # as the kernel has it: path_resolution(7)


@contextmanager
def looked_into(workshop: Workshop, client: Any, reference: str, submitter: Submitter) -> Iterator[ImageFiles]:
    """The files of an image, until the block is left: then the container made for it is removed, with its volumes."""
    with our_errors(workshop.name, f"make a container of {reference} to look into it"):
        # An image without a command gives none to its containers, and engines want one, although it never starts.
        made = client.create_container(
            reference,
            command=["-"],
            user=f"{submitter.uid}:{submitter.gid}",
            network_disabled=True,
            host_config=_as_in_a_run(workshop, client),
            labels={LABEL_LOOK: "1", LABEL_USER: submitter.name},
        )["Id"]
    try:
        yield ImageFiles(workshop.name, client, made, reference, submitter)
    finally:
        workshop.engine.remove(made)


def _as_in_a_run(workshop: Workshop, client: Any) -> Any:
    """Rootless Podman tells of owners as its user namespace has them, so that must be the one of runs."""
    config = client.create_host_config()
    info = workshop.engine.info
    if info.kind is EngineKind.PODMAN and info.rootless:
        config["UsernsMode"] = "keep-id"
    return config


class ImageFiles:
    """The file system of a container that was created and not started. Each path is asked for once."""

    def __init__(self, node: str, client: Any, container_id: str, reference: str, submitter: Submitter) -> None:
        self._node = node
        self._client = client
        self._url = f"{BASE_URL}/v{client.api_version}/containers/{container_id}/archive"
        self._reference = reference
        self._submitter = submitter
        self._entries: dict[tuple[str, bool], tuple[tarfile.TarInfo | None, bytes]] = {}

    def facts(self, name: str, path: str, need: Need) -> FileFacts:
        """What is at ``path``, through symbolic links, and whether the submitter can get there. Raises EngineError."""
        place = f"{self._reference}:{path}"
        entry, content, shut = self._walk(path, need is Need.WRITE)
        if entry is None:
            return FileFacts(name, need, place, Kind.MISSING, shut=shut)
        return FileFacts(
            name,
            need,
            place,
            Kind.DIRECTORY if entry.isdir() else Kind.FILE,
            entry.uid,
            entry.gid,
            entry.mode & 0o7777,
            content.decode("utf-8", "replace") if content[:2] == b"#!" or need in (Need.READ, Need.SETTINGS) else None,
            shut,
        )

    def _walk(self, path: str, with_owner: bool) -> tuple[tarfile.TarInfo | None, bytes, str | None]:
        """The entry at a path, its content, and the first directory on the way that the submitter may not search."""
        parts, at, shut, links = list(PurePosixPath(path).parts[1:]), PurePosixPath("/"), None, 0
        entry, content = self._entry("/")
        while parts:
            part = parts.pop(0)
            at = at.parent if part == ".." else at / part
            entry, content = self._entry(str(at), with_owner and not parts)
            if entry is None:
                return None, b"", shut
            if entry.issym():
                links += 1
                if links > _MOST_LINKS:
                    return None, b"", shut
                target = PurePosixPath(at.parent, entry.linkname)
                parts, at = [*target.parts[1:], *parts], PurePosixPath("/")
            elif parts and shut is None and not self._may_search(entry):
                shut = str(at)
        return entry, content, shut

    def _may_search(self, entry: tarfile.TarInfo) -> bool:
        facts = FileFacts("", Need.READ, "", Kind.DIRECTORY, entry.uid, entry.gid, entry.mode)
        return facts.allows(self._submitter, 1)

    def _entry(self, path: str, with_owner: bool = False) -> tuple[tarfile.TarInfo | None, bytes]:
        if (path, with_owner) not in self._entries:
            self._entries[path, with_owner] = self._fetch(path, with_owner)
        return self._entries[path, with_owner]

    def _fetch(self, path: str, with_owner: bool) -> tuple[tarfile.TarInfo | None, bytes]:
        """What is at a path, without following it: from its status where that is enough, else from its archive."""
        try:
            with our_errors(self._node, f"look at {path} in {self._reference}"):
                return (None if with_owner else self._open_directory(path)) or self._first_of_archive(path)
        except EngineNotFound:
            return None, b""
        except tarfile.TarError as error:
            raise EngineError(self._node, f"what it answers about {path} in {self._reference} is no archive") from error
        except EngineError as error:
            # Podman answers 500 for a path that is not there; Docker for links that go round in circles.
            if error.status is not None and ("no such file" in error.what or "too many links" in error.what):
                return None, b""
            raise

    def _open_directory(self, path: str) -> tuple[tarfile.TarInfo, bytes] | None:
        """A directory that everybody may search, whoever owns it: the status has no owner. None for all else."""
        answer = self._client.head(self._url, params={"path": path}, timeout=_CALL_S)
        if answer.status_code != http.HTTPStatus.OK:
            return None  # a link that leads nowhere, for example; its archive is the link itself
        mode = int(json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))["mode"])
        if not mode & _GO_DIRECTORY or not mode & 1:
            return None
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode = tarfile.DIRTYPE, mode & 0o777
        return entry, b""

    def _first_of_archive(self, path: str) -> tuple[tarfile.TarInfo | None, bytes]:
        """The first entry of the archive that the engine makes of a path; what would follow is not read."""
        # Not by the SDK's own call: that leaves the connection taken until all is read.
        plain = {"Accept-Encoding": "identity"}
        with (
            self._client.get(self._url, params={"path": path}, headers=plain, stream=True, timeout=_CALL_S) as answer,
            tarfile.open(fileobj=checked(answer).raw, mode="r|") as archive,
        ):
            entry = archive.next()
            file = archive.extractfile(entry) if entry is not None and entry.isreg() else None
            return entry, file.read(_LARGEST_TEXT_BYTES) if file else b""
