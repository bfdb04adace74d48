"""Contexts of builds, made on the spot, and the user they are for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dgrid.images.context import Context, find_context, read_dockerfile
from dgrid.images.dockerfile import Dockerfile, parse_dockerfile
from dgrid.plan.allocation import Submitter

USER = Submitter("dgridtest", 2001, 2002, (2002, 3003), "/home/dgridtest", ((2002, "testers"),))
BASE = "FROM debian:trixie-slim\n"


def build_context(directory: Path, body: str, files: Mapping[str, str] | None = None) -> Context:
    """A directory with a Dockerfile and files; scripts (``#!``) are executable."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "Dockerfile").write_text(body if "FROM " in body else BASE + body)
    for name, text in (files or {}).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    return find_context(directory, None)


def parse(context: Context) -> Dockerfile:
    """The context's Dockerfile; messages call it so."""
    return parse_dockerfile(read_dockerfile(context), "Dockerfile")
