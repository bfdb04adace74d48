"""Names of images: ``registry:5000/group/name:tag@sha256:...``.

The grammar is that of the reference package of the distribution project (github.com/distribution/reference).
"""

from __future__ import annotations

import re

from dgrid.plan.mistake import Mistake

LONGEST_NAME = 255
_LONGEST_TAG = 128

_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"\w[\w.-]*", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_FORM = "an image is [registry[:port]/]name[:tag], with small letters in the name"


def check_image(text: str) -> str:
    """``check_image("testcluster:5000/dgrid.pyssh")`` returns it; a Mistake says which part is no image's name."""
    _refuse_typical(text)
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise Mistake("the digest after the @ in {} is none", "it looks like sha256:9f86d08..., 64 digits long", text)
    registry, name = _split_registry(rest)
    name, colon, tag = name.partition(":")
    _check_name(name, text)
    if colon and not _TAG.fullmatch(tag):
        what = (
            "the tag after the : in {} is empty" if not tag else "the tag after the : in {} has a character it may not"
        )
        raise Mistake(what, "tags consist of letters, digits, _, . and -", text)
    if len(tag) > _LONGEST_TAG:
        raise Mistake(f"the tag is longer than {_LONGEST_TAG} characters")
    if registry is not None and not _REGISTRY.fullmatch(registry):
        raise Mistake("{} is no name of a registry", "a registry is host or host:port", registry)
    if len(name) + len(registry or "") > LONGEST_NAME:
        raise Mistake(f"the name is longer than {LONGEST_NAME} characters")
    return text


def _refuse_typical(text: str) -> None:
    if not text:
        raise Mistake("no image is named", 'write for example "python:3.12"')
    if "://" in text:
        scheme = text.partition("://")[0]
        raise Mistake("{} does not belong in front of an image's name", "leave it out", f"{scheme}://")
    if any(char.isspace() for char in text):
        raise Mistake("{} has a blank in it", _FORM, text)
    if text.startswith(("/", "./", "../", "~")) or text.endswith((".tar", ".sif", ".img")):
        raise Mistake("{} is a file, not the name of an image", f"load it into the engine first; {_FORM}", text)


def _split_registry(text: str) -> tuple[str | None, str]:
    """The first part is a registry when it looks like a host, as the engines decide it."""
    first, slash, rest = text.partition("/")
    if slash and (first == "localhost" or any(char in first for char in ".:[")):
        return first, rest
    return None, text


def _check_name(name: str, text: str) -> None:
    if not name:
        raise Mistake("{} has no name before the tag or after the registry", _FORM, text)
    for part in name.split("/"):
        if _PART.fullmatch(part):
            continue
        if _PART.fullmatch(part.lower()):
            raise Mistake("{} has capital letters", "names of images have small letters only", text)
        if not part:
            raise Mistake("{} has a / too many", _FORM, text)
        raise Mistake("the part {} is no name", "use letters, digits, and single . _ - between them", part)
