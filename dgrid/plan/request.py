"""What is asked of the engines, as values: the run sends exactly these, and ``dgrid plan`` prints exactly these."""

from __future__ import annotations

from dataclasses import field

from dgrid.plan.definition import Mount, Resources
from dgrid.plan.job_limits import NOTHING, JobLimits
from dgrid.record import record


@record
class FileToPlace:
    """A file (or, with ``content`` None, an empty directory) put into a container before its first instruction.

    It belongs to the submitter, or to root where ``by_root``. The content of a ``secret`` one is never shown.
    """

    path: str
    content: bytes | None = field(repr=False)
    mode: int
    by_root: bool = False
    secret: bool = False


@record
class NetworkRequest:
    """A network of the run, made on ``node`` before the first create. ``driver`` is "bridge" or "overlay"."""

    node: str
    name: str
    driver: str
    labels: tuple[tuple[str, str], ...]


@record
class CreateRequest:
    """One container to be created on one node's engine.

    ``network`` is the engine-side name of the run's network, or "host". ``extra_hosts`` are (name, address) pairs
    for names that nobody resolves. ``environment`` holds every variable, in order, later ones having been merged.
    ``user`` is decimal ``uid:gid``; ``groups`` decimal gids. ``resources`` are the definition's limits, and
    ``job_limits`` the job's on that node. Of what is the job's there, ``cpuset`` ("0-1") and ``gpus`` (ids) are this
    container's; None leaves it all CPUs of the job, and the choice of GPUs to the engine.
    """

    name: str
    image: str
    command: tuple[str, ...] | None
    entrypoint: tuple[str, ...] | None
    environment: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    mounts: tuple[Mount, ...]
    files: tuple[FileToPlace, ...]
    user: str
    groups: tuple[str, ...]
    hostname: str | None
    network: str
    aliases: tuple[str, ...]
    extra_hosts: tuple[tuple[str, str], ...]
    work_dir: str | None
    resources: Resources
    is_head: bool
    tty: bool
    stop_signal: str | None
    init: bool
    keep_id: bool
    job_limits: JobLimits = NOTHING
    cpuset: str | None = None
    gpus: tuple[str, ...] | None = None
