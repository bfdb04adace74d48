"""What goes wrong with an image under a batch system, as far as its configuration shows it: told at each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dgrid.images.finding import Finding
from dgrid.images.from_image import view_of_image
from dgrid.images.rules import findings_for
from dgrid.plan.allocation import Submitter

# What a run has decided by other means, or cannot do anything about any more when its images are there.
_NOT_WHEN_PLANNING = ("user", "tag")


def planning_findings(
    reference: str,
    found: Mapping[str, Any],
    submitter: Submitter,
    node_architecture: str,
    argv: tuple[str, ...] | None = None,
    mounted: tuple[str, ...] = (),
    host_network: bool = True,
) -> tuple[Finding, ...]:
    """What an engine's answer to "inspect" tells of an image that a run is about to use; no container is made.

    ``argv`` is the command that the definition gives, None where the image's own is to run; ``mounted`` are the
    targets of its mounts, which hide volumes; ``host_network`` says whether it uses the nodes' own network, where low
    ports are root's. Volumes are told as warnings, since whose their directories are was not looked at.
    """
    view = view_of_image(reference, found, submitter, node_architecture, argv)
    view = replace(
        view,
        volumes=tuple(volume for volume in view.volumes if volume.value.rstrip("/") not in mounted),
        ports=view.ports if host_network else (),
    )
    return tuple(one for one in findings_for(view) if one.rule.name not in _NOT_WHEN_PLANNING)
