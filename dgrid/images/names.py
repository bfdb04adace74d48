"""What a user's images are called: ``[registry/]user/name:tag``. Pure."""

from __future__ import annotations

import re

from dgrid.errors import UsageError
from dgrid.images.dockerfile import Dockerfile, pairs
from dgrid.plan.imageref import check_image
from dgrid.plan.mistake import Mistake, quote

LABEL_USER = "io.dgrid.image.user"
"""The label every image built by dgrid has: the name of the user it was built for."""

LABEL_NAME = "io.dgrid.image.name"
"""A label by which a Dockerfile says what its image is to be called when nobody gives a name."""

# With a registry of this name no engine asks a public registry for a namesake.
LOCAL = "localhost"
_TAG = "latest"


def image_name(user: str, name: str, registry: str | None = None) -> str:
    """``image_name("alice", "redis") == "localhost/alice/redis:latest"``.

    ``name`` may have a tag, and may be written in full (``testcluster:5000/alice/redis:7``) as long as it is the
    user's own. ``registry`` is ``host``, ``host:port``, or either with a path behind it; None keeps the image
    on the cluster. Raises UsageError.
    """
    own = user_part(user)
    path, colon, tag = name.partition(":") if "/" not in name else _split_tag(name)
    *before, last = path.split("/")
    if before:
        if before[-1] != own:
            raise UsageError(
                f"{name}: your images are called {own}/..., so that they are known for yours — "
                f"give -t {last}, or -t {own}/{last}"
            )
        given = "/".join(before[:-1]) or None
        if given is not None and registry is not None and given != registry:
            raise UsageError(f"-t names the registry {given}, --registry {registry} — give one of them")
        registry = given or registry
    if registry is not None:
        _check_registry(registry)
    full = f"{registry or LOCAL}/{own}/{last}:{tag if colon else _TAG}"
    try:
        return check_image(full)
    except Mistake as mistake:
        what = mistake.what.replace("{}", quote(mistake.shown))
        raise UsageError(
            f"{full} is no name for an image: {what} — {mistake.remedy or 'choose another with -t'}"
        ) from (mistake)


def user_part(user: str) -> str:
    """``user_part("Alice.Smith") == "alice.smith"``: the user's name as far as names of images can have it."""
    part = re.sub(r"[^a-z0-9._-]", "-", user.lower())
    part = re.sub(r"([._-])[._-]*", r"\1", part).strip("._-")
    return part or "user"


def name_from(directory: str) -> str:
    """``name_from("My Image") == "my-image"``: an image's name from that of its directory."""
    return user_part(directory) if re.search(r"[A-Za-z0-9]", directory) else "image"


def default_name(dockerfile: Dockerfile, directory: str) -> str:
    """What the Dockerfile's label ``io.dgrid.image.name`` says, else a name from the directory's."""
    for stage in reversed(dockerfile.lineage()):
        for one in reversed(stage.instructions):
            labels = dict(pairs(one.text)) if one.keyword == "LABEL" else {}
            if name := labels.get(LABEL_NAME):
                return name
    return name_from(directory)


def full_reference(user: str, given: str, only_short: bool = True) -> str:
    """What is meant by a name on the command line: ``redis`` is the user's own, an id and a name in full are as given.

    With ``only_short`` False, a name without a user is nobody's but that of a public image: only ``alice/redis`` is
    completed then.
    """
    if re.fullmatch(r"(?:sha256:)?[0-9a-f]{12,64}", given):
        return given
    short = "/" not in given and only_short
    if short or given.startswith(f"{user_part(user)}/"):
        return image_name(user, given)
    try:
        return check_image(given)
    except Mistake as mistake:
        what = mistake.what.replace("{}", quote(mistake.shown))
        raise UsageError(f"{given}: {what} — {mistake.remedy or 'give the name of an image'}") from mistake


def is_named_for(reference: str, user: str) -> bool:
    """Whether ``localhost/alice/redis:latest``, or ``registry:5000/group/alice/redis``, is the name of alice's."""
    return reference.count("/") > 0 and _split_tag(reference)[0].split("/")[-2] == user_part(user)


def registry_of(reference: str) -> str | None:
    """``registry_of("testcluster:5000/alice/redis") == "testcluster:5000"``; None for those kept on the cluster."""
    first, slash, _ = reference.partition("/")
    if not slash or first == LOCAL:
        return None
    return first if any(char in first for char in ".:[") else None


def _split_tag(reference: str) -> tuple[str, str, str]:
    path, slash, last = reference.partition("@")[0].rpartition("/")
    last, colon, tag = last.partition(":")
    return f"{path}{slash}{last}", colon, tag


def _check_registry(registry: str) -> None:
    host = registry.partition("/")[0]
    if "://" in registry:
        raise UsageError(f"--registry {registry}: a registry is host or host:port, without http:// or https://")
    if host != LOCAL and not any(char in host for char in ".:["):
        raise UsageError(
            f"--registry {registry}: engines take a host without a dot or a port for a part of a name on Docker Hub — "
            f"write {host}:5000 (its port), or its full name"
        )
