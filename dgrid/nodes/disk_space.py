"""Full disks: which directory of which node, and how much is free there."""

from __future__ import annotations

import re
import shlex

from dgrid.errors import NodeError
from dgrid.nodes.engine_images import EngineImages
from dgrid.nodes.link import Link

_LOOK_S = 10.0


def with_space(link: Link, images: EngineImages, why: str) -> str:
    """``why`` as the engine said it; where it speaks of a full disk, with the engine's directory and what is free."""
    if not re.search(r"no space left|disk quota exceeded", why, re.IGNORECASE):
        return why
    try:
        directory = images.directory()
        listed = link.run(f"df -Pk {shlex.quote(directory)}", _LOOK_S).output
    except NodeError:
        return why  # the full disk is the news; that the node does not say more is none
    rows = [line.split() for line in listed.splitlines() if re.search(r"\d+%", line)]
    if not rows:
        return f"{why}; the engine keeps images in {directory}"
    free, size = int(rows[-1][3]) // 1024, int(rows[-1][1]) // 1024
    return (
        f"{why}; the engine keeps images in {directory}, where {free} of {size} MiB are free: remove images there that "
        "nobody needs, or leave the node out"
    )
