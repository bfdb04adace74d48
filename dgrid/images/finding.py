"""What can be wrong with an image that is to run under a batch system: the table of rules, and findings. Pure."""

from __future__ import annotations

from enum import Enum

from dgrid.record import record


class Severity(Enum):
    """ERROR: it will fail in a run. WARNING: it may, which depends on more than was looked at."""

    ERROR = "error"
    WARNING = "warning"


@record
class Rule:
    """``why`` is the reason, ``remedy`` what to do, in general; a Finding's ``what`` is the case at hand."""

    name: str
    why: str
    remedy: str


@record
class Finding:
    """One thing found. ``place`` is ``Dockerfile:12``, or the image, with a file inside it: ``redis:7:/entry.sh:3``."""

    rule: Rule
    severity: Severity
    place: str
    what: str


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "volume",
            "What VOLUME makes belongs to root, unless the image's directory is already the user's; in a run nobody "
            "is root, so nothing can be written there.",
            "Leave VOLUME out, make the directory the user's (RUN install -d -o $UID /data), and mount a directory of "
            'yours there ("volumes" in the definition) to keep what is written.',
        ),
        Rule(
            "user",
            "dgrid runs every image as you, never as root, whatever the image says; what its programs do as root when "
            "tried by hand (writing to /var, to /root) fails in a run.",
            'End the Dockerfile with ARG UID, ARG GID and "USER ${UID}:${GID}"; dgrid image build fills them in.',
        ),
        Rule(
            "port",
            "An ordinary user cannot listen below 1024 on a node's own network, which containers on several nodes use.",
            "Have the program listen above 1023 (8080 for 80, 2222 for 22), and expose that.",
        ),
        Rule(
            "sshd",
            "An ordinary user cannot have port 22, which the node's own sshd has on the node's network; and the host "
            "keys in /etc/ssh are readable by root only.",
            'Start it as "sshd -D -e -p 2222" with host keys of yours (-h), and UsePAM no; docker_images/pyssh does.',
        ),
        Rule(
            "sudo",
            "Containers run with all capabilities dropped and no-new-privileges: sudo, su and setuid programs give no "
            "powers there, and most of them refuse to work.",
            "Do what needs root in a RUN of the Dockerfile, and leave sudo out of the image.",
        ),
        Rule(
            "root-work",
            "Changing owners and changing to another user is root's alone. In a run the container is already yours, so "
            "there is nothing to change.",
            'Do it in a RUN of the Dockerfile, or only where "$(id -u)" is 0; start the program itself with exec.',
        ),
        Rule(
            "entry",
            "It is the first thing a container runs; as you, not as root, for whom permissions do not count.",
            "Have files readable and programs executable for everybody (RUN chmod a+rx FILE), and their directories "
            "too; or give the definition another run_cmd or entrypoint.",
        ),
        Rule(
            "architecture",
            "Programs of one architecture do not run on another; the first one ends with \"exec format error\".",
            "Build or pull the image on a node of the cluster, or for its architecture (--platform).",
        ),
        Rule(
            "tag",
            "A name without a tag, or with latest, is another image whenever somebody pushes one: nodes that pull at "
            "different times get different images, and last year's job cannot be repeated.",
            "Name a version (debian:trixie-slim, python:3.13), or better the digest (name@sha256:...).",
        ),
        Rule(
            "buildkit",
            "`dgrid image build` uses the engine's own builder, as it is reached over ssh; with Docker that is not "
            "BuildKit.",
            "Use a file and COPY instead of a here-document, RUN chmod instead of COPY --chmod; or build with Podman.",
        ),
    )
}  # fmt: skip
"""All rules by name, in the order in which findings are told."""
