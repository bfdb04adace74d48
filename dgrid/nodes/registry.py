"""Fetching an image from its registry, and what to do about what registries say when they refuse."""

from __future__ import annotations

import re
import time

from dgrid.errors import EngineError, EngineTimeout, ImageError, RegistryBusy
from dgrid.nodes.engine_images import EngineImages
from dgrid.nodes.retry import retry

DOCKER_HUB = "docker.io"
_TRIES = 4
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 30.0

_BUSY = ("toomanyrequests", "too many requests", "429")
# The first that fits. A registry says "denied" also of names that it does not have, so as not to tell which it has.
_REMEDIES = (
    (_BUSY, "the registry wants you to wait: try again later; with a login it may allow more ({login})"),
    (("no basic auth", "unauthorized", "authentication required", "incorrect username or password", "401"),
     "log in on this machine: {login}"),
    (("denied", "403", "insufficient_scope"),
     "log in with an account that may read it ({login}), or check the name: registries do not tell which of the two"),
    (("manifest unknown", "name unknown", "not found", "404"), "the registry has no such image: check name and tag"),
    (("http response to https", "certificate"),
     "the node's engine wants a registry with TLS and a certificate it knows; the administrators can add this one's "
     "certificate, or name it in insecure-registries"),
    (("no such host", "connection refused", "i/o timeout", "timeout exceeded", "no route to host"),
     "the node does not reach {registry}; if that is how the cluster is built, bring the image to one node and use "
     "--pull spread"),
)  # fmt: skip


def fetch(images: EngineImages, image: str, digest: str | None, timeout_s: float) -> None:
    """Have a node's engine fetch ``image``; where ``digest`` (``repo@sha256:...``) says what that is, exactly this.

    A registry that is busy is asked again, a few times. ``timeout_s`` bounds all of it. Raises ImageError with the
    registry's words and what to do.
    """
    ends_at = time.monotonic() + timeout_s
    retry(lambda: _fetch(images, image, digest, ends_at), _TRIES, _FIRST_WAIT_S, _LONGEST_WAIT_S)


def _fetch(images: EngineImages, image: str, digest: str | None, ends_at: float) -> None:
    try:
        images.pull(digest or image, max(1.0, ends_at - time.monotonic()))
        if digest is not None and "@" not in image:
            images.tag(digest, image)
    except EngineTimeout as error:
        raise ImageError(images.node, f"{error.what}; if that is too short, set pull_timeout_s") from error
    except EngineError as error:
        words = error.what.removeprefix(f"cannot pull the image {digest or image}: ")
        advice = remedy(image, words)
        what = f"the image {image} is not there and cannot be pulled ({words})" + (f"; {advice}" if advice else "")
        wait_s = wait_wanted_s(words)
        if is_busy(words) and wait_s < ends_at - time.monotonic():
            raise RegistryBusy(images.node, what, wait_s) from error
        raise ImageError(images.node, what) from error


def registry_of(image: str) -> str:
    """``registry_of("testcluster:5000/a/b:1") == "testcluster:5000"``; of a bare name it is Docker Hub."""
    first, slash, _ = image.partition("/")
    return first if slash and (first == "localhost" or any(char in first for char in ".:[")) else DOCKER_HUB


def remedy(image: str, words: str) -> str:
    """What to do when a registry, or the way to it, refuses ``image`` with these words; "" where nobody knows."""
    registry, text = registry_of(image), words.lower()
    if registry.partition(":")[0] == "localhost" and "refused" in text:
        return "no registry is behind that name; if another node has the image, --pull spread brings it from there"
    login = "docker login" if registry == DOCKER_HUB else f"docker login {registry}"
    found = next((advice for marks, advice in _REMEDIES if any(mark in text for mark in marks)), "")
    return found.format(registry=registry, login=login)


def is_busy(words: str) -> bool:
    """Whether the same call may succeed later (HTTP's status 429)."""
    return any(mark in words.lower() for mark in _BUSY)


def wait_wanted_s(words: str) -> float:
    """The seconds of a Retry-After (RFC 9110, 10.2.3) where the words have one; else 0."""
    found = re.search(r"retry[- ]after\W{0,3}(\d{1,6})", words, re.IGNORECASE)
    return float(found[1]) if found else 0.0
