"""The images of one node's engine: looked up, fetched from registries, copied, named, removed."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from dgrid.errors import EngineError, EngineNotFound, EngineTimeout
from dgrid.nodes.engine import Engine
from dgrid.nodes.engine_http import BASE_URL, api_client, checked, our_errors
from dgrid.nodes.link import Link, Stream
from dgrid.plan.facts import EngineKind
from dgrid.record import record

_PIECE = 1 << 20
_OCI = "application/vnd.oci.image.manifest.v1+json"


@record
class StoredImage:
    """An image on one node.

    ``image_id`` has 64 hex digits and is the same for the same content on every engine. ``digests`` are the names it
    was pulled by, ``repo@sha256:...``; none for an image that was built or loaded there. ``layers`` are the digests of
    its layers, the lowest first; ``size_bytes`` is theirs together, uncompressed.
    """

    image_id: str
    digests: tuple[str, ...]
    layers: tuple[str, ...]
    size_bytes: int


class EngineImages:
    """The images of the engine behind a link. Every call has a deadline and raises EngineError."""

    def __init__(self, link: Link, engine: Engine) -> None:
        self.node = engine.node
        self._link = link
        self._engine = engine
        self._api = engine.api_version

    def find(self, reference: str) -> StoredImage | None:
        """The image of that name or id, None if the node does not have it."""
        try:
            return _stored(self._engine.inspect_image(reference))
        except EngineNotFound:
            return None

    def all_ids(self) -> frozenset[str]:
        """The ids of all images the engine has, with or without a name."""
        return frozenset(str(one["Id"]).removeprefix("sha256:") for one in self._list(all=1))

    def pull(self, reference: str, timeout_s: float) -> None:
        """Fetch an image with the submitter's login, which goes into this call alone (docker's config.json on this
        machine, and its credential helpers). Raises EngineTimeout when it is not there within ``timeout_s``."""
        with (
            self._bounded(timeout_s, f"the image {reference} did not arrive in time ({timeout_s:.0f} s)") as client,
            our_errors(self.node, f"pull the image {reference}"),
        ):
            for line in client.pull(reference, stream=True, decode=True):
                if "error" in line:
                    raise EngineError(self.node, f"cannot pull the image {reference}: {str(line['error']).strip()}")

    def tag(self, image: str, reference: str) -> None:
        """Give an image (by id, or by a digest's name) the name ``repo:tag``."""
        repository, tag = split_tag(reference)
        path = f"/v{self._api}/images/{_quoted(image)}/tag"
        self._engine.calls.post(path, f"name the image {reference}", None, repo=repository, tag=tag)

    def remove(self, reference: str) -> None:
        """Remove a name or an image, unless a container uses it: then EngineError. No error if it is not there."""
        with contextlib.suppress(EngineNotFound):
            self._engine.calls.delete(f"/v{self._api}/images/{_quoted(reference)}", f"remove the image {reference}")

    def used(self) -> frozenset[str]:
        """The ids of the images of all containers there, running or not, whoever's they are."""
        found = self._engine.calls.get(f"/v{self._api}/containers/json", "list the containers", all=1)
        return frozenset(str(one["ImageID"]).removeprefix("sha256:") for one in found)

    def shared_layers(self, layers: tuple[str, ...]) -> int:
        """How many of an image's layers, counted from the lowest, are there already, in any image."""
        found = [_stored(self._engine.inspect_image(one["Id"])).layers for one in self._list()]
        return max((_common(layers, other) for other in found), default=0)

    def takes_parts(self) -> bool:
        """Whether a saved image may be loaded without the layers that are there: Docker's own store allows that,
        containerd's and Podman's do not."""
        if self._engine.info.kind is not EngineKind.DOCKER:
            return False
        status = self._info().get("DriverStatus") or ()
        return not any("containerd" in str(value) for row in status for value in row)

    def directory(self) -> str:
        """Where the engine keeps its images, on its node."""
        return str(self._info().get("DockerRootDir") or "/")

    def save_path(self, reference: str, for_podman: bool) -> str:
        """The path of the call that gives the image as an archive; in the image's own format where Podman takes it,
        as its id depends on that."""
        name = _quoted(reference)
        if for_podman and self._engine.info.kind is EngineKind.PODMAN and self._is_oci(name):
            return f"/v4.0.0/libpod/images/{name}/get?format=oci-archive"
        return f"/v{self._api}/images/{name}/get"

    def load_path(self) -> str:
        """The path of the call that takes such an archive."""
        return f"/v{self._api}/images/load?quiet=1"

    def copy_to(self, other: EngineImages, reference: str, timeout_s: float) -> None:
        """Copy an image to another node's engine, through this machine."""
        path = self.save_path(reference, other._engine.info.kind is EngineKind.PODMAN)
        late = f"the image {reference} did not arrive in time ({timeout_s:.0f} s)"
        with self._bounded(timeout_s, late) as source, other._bounded(timeout_s, late) as target:
            with our_errors(self.node, f"save the image {reference}"):
                archive = checked(source.get(f"{BASE_URL}{path}", stream=True))
            with our_errors(other.node, f"load the image {reference}"):
                url = f"{BASE_URL}{other.load_path()}"
                answer = checked(target.post(url, data=archive.iter_content(_PIECE)))
                if "error" in (last := _last_event(answer)):
                    raise EngineError(other.node, f"cannot load the image {reference}: {last['error']}")

    def _info(self) -> dict[str, Any]:
        return dict(self._engine.calls.get(f"/v{self._api}/info", "ask the engine about itself"))

    def _list(self, **query: int) -> list[dict[str, Any]]:
        return list(self._engine.calls.get(f"/v{self._api}/images/json", "list the images", **query))

    def _is_oci(self, name: str) -> bool:
        found = self._engine.calls.get(f"/v4.0.0/libpod/images/{name}/json", f"look up the image {name}")
        return bool(found.get("ManifestType") == _OCI)

    @contextlib.contextmanager
    def _bounded(self, timeout_s: float, late: str) -> Iterator[Any]:
        """A client for one long call; what is not over in time is cut, however lively it is."""
        streams: list[Stream] = []
        ends_at = time.monotonic() + timeout_s

        def dial(limit_s: float) -> Stream:
            streams.append(self._dial(limit_s))
            return streams[-1]

        def cut() -> None:
            for stream in streams:
                stream.close()

        timer = threading.Timer(timeout_s, cut)
        timer.daemon = True
        timer.start()
        client = api_client(dial, self._api, timeout_s)
        try:
            yield client
        except EngineError as error:
            if time.monotonic() >= ends_at:
                raise EngineTimeout(error.node, late) from error
            raise
        finally:
            timer.cancel()
            client.close()

    def _dial(self, limit_s: float) -> Stream:
        return self._link.dial(self._engine.socket_path, limit_s)


def _quoted(reference: str) -> str:
    return quote(reference, safe="/:@")


def split_tag(reference: str) -> tuple[str, str]:
    """``split_tag("host:5000/a/b:1") == ("host:5000/a/b", "1")``; without a tag it is "latest"."""
    repository, colon, tag = reference.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (reference, "latest")


def _stored(found: Mapping[str, Any]) -> StoredImage:
    return StoredImage(
        str(found["Id"]).removeprefix("sha256:"),
        tuple(found.get("RepoDigests") or ()),
        tuple((found.get("RootFS") or {}).get("Layers") or ()),
        int(found.get("Size") or 0),
    )


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many layers two images have in common, from the lowest on."""
    pairs = zip(one, other, strict=False)
    return next((count for count, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _last_event(answer: Any) -> dict[str, Any]:
    """An engine says "200" first and what went wrong last."""
    lines = [line for line in answer.content.splitlines() if line.strip().startswith(b"{")]
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return found
