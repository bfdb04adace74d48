"""A user's own images on one machine's engine: listed, pushed to a registry, removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from dgrid.errors import EngineNotFound, ImageError, UsageError
from dgrid.images.login import logins_told
from dgrid.images.machine import Workshop
from dgrid.images.names import LABEL_USER, LOCAL, is_named_for, registry_of, user_part
from dgrid.nodes.engine_http import our_errors
from dgrid.plan.naming import LABEL_SESSION
from dgrid.record import record

_CALL_S = 120.0
_SILENCE_S = 1800.0
_ID = 12
# What registries say, and what to do then; the first that fits.
_REMEDIES = (
    (("toomanyrequests", "too many requests", "429"), "the registry wants you to wait; try again later"),
    (("no basic auth", "unauthorized", "authentication required", "401"), "log in first: docker login {registry}"),
    (("denied", "403", "insufficient_scope"), "you may not write there; log in (docker login {registry}), or ask whose "
                                              "registry it is for a place of yours"),
    (("name unknown", "name_unknown", "does not exist", "not found", "404"),
     "the registry knows no such place; ask whose it is how images must be called there"),
    (("http response to https",), "the engine takes {registry} for a registry with TLS, which it is not; the "
                                  "administrators can name it in insecure-registries"),
    (("no such host", "connection refused", "i/o timeout", "timeout exceeded"), "is {registry} right, and up?"),
)  # fmt: skip


@record
class OwnImage:
    """An image that belongs to the user. ``name`` is None for one that a later build took the name from.

    ``image_id`` has 64 hex digits; ``created_s`` counts seconds from 1970.
    """

    name: str | None
    image_id: str
    size_bytes: int
    created_s: int


def own_images(workshop: Workshop, user: str) -> tuple[OwnImage, ...]:
    """The user's images, by the user's part in the name or by the label of builds; newest first. Raises EngineError."""
    with workshop.sdk(_CALL_S) as client, our_errors(workshop.name, "list the images"):
        found = [one for image in client.images() for one in _own(image, user)]
    return tuple(sorted(found, key=lambda one: (-one.created_s, one.name or "")))


def push(workshop: Workshop, name: str, user: str, say: Callable[[str], None]) -> str:
    """Send an image to the registry in its name, with the user's own login; returns the digest there, "" if unknown.

    ``say`` gets lines of progress. Raises UsageError for an image that is not the user's or has no registry,
    ImageError with the registry's words.
    """
    registry = registry_of(name)
    if registry is None:
        raise UsageError(
            f"{name}: there is no registry in its name, so there is nowhere to push it to — "
            f"build it with --registry HOST:PORT"
        )
    digest, told = "", dict[str, str]()
    action = f"push {name}"
    with workshop.sdk(_SILENCE_S) as client, logins_told(workshop.name), our_errors(workshop.name, action):
        _name_for_registry(client, name, registry)
        _check_own(_inspect(workshop, name), name, user)
        for event in client.push(name, stream=True, decode=True):
            if error := (event.get("errorDetail") or {}).get("message") or event.get("error"):
                raise ImageError(workshop.name, push_refusal(name, registry, str(error)))
            digest = str((event.get("aux") or {}).get("Digest") or digest)
            layer, status = event.get("id", ""), event.get("status", "")
            if status and told.get(layer) != status:
                told[layer] = status
                say(f"{layer}: {status}" if layer else status)
    return digest


def _name_for_registry(client: Any, name: str, registry: str) -> None:
    """An image that was built without a registry in its name gets the wanted name beside its own."""
    from docker.errors import ImageNotFound

    local = f"{LOCAL}/{name.removeprefix(f'{registry}/')}"
    repository, _, tag = name.rpartition(":")
    try:
        client.inspect_image(name)
    except ImageNotFound:
        with suppress(ImageNotFound):  # then there is neither, which is told for the name that was asked for
            client.tag(local, repository, tag)


def remove(workshop: Workshop, reference: str, user: str) -> None:
    """Remove one of the user's images, by name or id. Raises UsageError if it is not the user's own, ImageError while
    containers use it, EngineError."""
    found = _inspect(workshop, reference)
    _check_own(found, reference, user)
    with workshop.sdk(_CALL_S) as client:
        _check_unused(workshop, client, found, reference)
        with our_errors(workshop.name, f"remove {reference}"):
            client.remove_image(reference)


def _own(image: Mapping[str, Any], user: str) -> list[OwnImage]:
    named = [name for name in image.get("RepoTags") or () if name != "<none>:<none>"]
    labelled = (image.get("Labels") or {}).get(LABEL_USER) == user
    mine: list[str | None] = [name for name in named if labelled or is_named_for(name, user)]
    if labelled and not named:
        mine = [None]
    image_id = str(image["Id"]).removeprefix("sha256:")
    return [OwnImage(name, image_id, int(image["Size"]), int(image["Created"])) for name in mine]


def _inspect(workshop: Workshop, reference: str) -> Mapping[str, Any]:
    try:
        with workshop.sdk(_CALL_S) as client, our_errors(workshop.name, f"look up the image {reference}"):
            found: Mapping[str, Any] = client.inspect_image(reference)
            return found
    except EngineNotFound as error:
        raise ImageError(
            workshop.name, f"there is no image {reference}; dgrid image list shows those you have there"
        ) from error


def _check_own(found: Mapping[str, Any], reference: str, user: str) -> None:
    labels = (found.get("Config") or {}).get("Labels") or {}
    mine = labels.get(LABEL_USER) == user or is_named_for(reference, user)
    by_id = str(found["Id"]).removeprefix("sha256:").startswith(reference.removeprefix("sha256:"))
    if by_id:
        mine |= any(is_named_for(name, user) for name in found.get("RepoTags") or ())
    if not mine:
        raise UsageError(
            f"{reference}: this image is not yours; yours have {user_part(user)}/ in their names, or were built by "
            f"you with dgrid image build"
        )


def _check_unused(workshop: Workshop, client: Any, found: Mapping[str, Any], reference: str) -> None:
    with our_errors(workshop.name, "list the containers"):
        using = client.containers(all=True, filters={"ancestor": found["Id"]})
    if len(found.get("RepoTags") or ()) > 1 and reference in found["RepoTags"]:
        return  # only one of its names goes
    if using:
        names = ", ".join(_container(one) for one in using)
        raise ImageError(
            workshop.name, f"{reference} is in use by {names}; remove it when {_they(len(using))} ended and removed"
        )


def _container(one: Mapping[str, Any]) -> str:
    session = (one.get("Labels") or {}).get(LABEL_SESSION)
    name = (one.get("Names") or [one["Id"][:_ID]])[0].removeprefix("/")
    of_run = f" of the run {session}" if session else ""
    return f"the container {name}{of_run} ({one.get('State', 'state unknown')})"


def _they(number: int) -> str:
    return "that has" if number == 1 else "those have"


def push_refusal(name: str, registry: str, words: str) -> str:
    """``push_refusal("hub:1/alice/x:1", "hub:1", "denied: ...")``: the registry's words, and what to do about them."""
    text = words.lower()
    remedy = next((remedy for marks, remedy in _REMEDIES if any(mark in text for mark in marks)), None)
    advice = f" — {remedy.format(registry=registry)}" if remedy else ""
    return f"cannot push {name}: {registry} says: {words.strip()}{advice}"
