"""Checking a Dockerfile, or an image with its files, for what goes wrong under a batch system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from dgrid.errors import EngineNotFound, ImageError
from dgrid.images.context import find_context, read_dockerfile
from dgrid.images.dockerfile import parse_dockerfile
from dgrid.images.finding import Finding, Severity
from dgrid.images.from_dockerfile import view_of_dockerfile
from dgrid.images.from_image import view_of_image, with_files
from dgrid.images.look import looked_into
from dgrid.images.machine import Workshop
from dgrid.images.rules import findings_for
from dgrid.nodes.engine_http import our_errors
from dgrid.plan.allocation import Submitter
from dgrid.plan.facts import EngineKind

__all__ = ["check_directory", "check_image", "count_errors", "findings_for", "to_data"]

_CALL_S = 60.0


def check_directory(
    directory: Path, file: Path | None, submitter: Submitter, given: Mapping[str, str], architecture: str | None = None
) -> tuple[Finding, ...]:
    """Check the Dockerfile of a directory, as it is when ``submitter`` builds it. Needs no engine.

    ``architecture`` is that of the nodes in the engines' words, None where unknown. Raises UsageError, InputError.
    """
    context = find_context(directory, file)
    dockerfile = parse_dockerfile(read_dockerfile(context), str(context.file))
    return findings_for(view_of_dockerfile(dockerfile, context, submitter, given, architecture))


def check_image(workshop: Workshop, reference: str, submitter: Submitter) -> tuple[Finding, ...]:
    """Check an image of the workshop's engine, and the files that its command begins with.

    A container of it is created for that, not started, and removed. Raises ImageError if the image is not there.
    """
    with workshop.sdk(_CALL_S) as client:
        try:
            with our_errors(workshop.name, f"look up the image {reference}"):
                found = client.inspect_image(reference)
        except EngineNotFound as error:
            raise ImageError(
                workshop.name, f"there is no image {reference}; pull or build it first, or give a directory"
            ) from error
        view = view_of_image(reference, found, submitter, workshop.engine.info.architecture)
        with looked_into(workshop, client, reference, submitter) as files:
            # Podman settles whose a volume is when a container starts, and until then hides the image's directory.
            volumes = workshop.engine.info.kind is EngineKind.DOCKER
            return findings_for(with_files(view, found.get("Config") or {}, files, volumes))


def count_errors(findings: Iterable[Finding]) -> int:
    """How many of them will fail a run."""
    return sum(one.severity is Severity.ERROR for one in findings)


def to_data(one: Finding) -> dict[str, str]:
    """A finding for ``--json``."""
    return {
        "rule": one.rule.name,
        "severity": one.severity.value,
        "place": one.place,
        "what": one.what,
        "why": one.rule.why,
        "remedy": one.rule.remedy,
    }
