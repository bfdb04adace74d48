"""The docker definition as frozen values: what a user's JSON file means once it was found to be right."""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import Protocol

from dgrid.record import record

HOSTFILE_DIR = "/dgrid"
"""Where the hostfile goes in a container that does not say so."""

SSH_PORT = 2222
READY_TIMEOUT_S = 60.0
"""How long a container may take to be ready, if it does not say so."""


class HostfileFormat(Enum):
    """How the hostfile inside the containers is written."""

    JSON = "json"
    LIST = "list"
    MPI = "mpi"


class NetworkMode(Enum):
    """How the containers of a run reach each other."""

    AUTO = "auto"
    HOST = "host"
    BRIDGE = "bridge"
    OVERLAY = "overlay"


class PullPolicy(Enum):
    """When images are fetched, and from where."""

    MISSING = "missing"
    """From their registry, by nodes that lack them."""
    ALWAYS = "always"
    """From their registry, by all nodes."""
    NEVER = "never"
    SPREAD = "spread"
    """From a node that has them, by nodes that lack them."""


class FailurePolicy(Enum):
    """What a worker's non-zero end does to the run."""

    REPORT = "report"
    FAIL_RUN = "fail_run"
    RESTART = "restart"


class PlaceOn(Enum):
    """Which nodes a container may go to: the node dgrid runs on, all others, any."""

    HEAD = "head"
    OTHERS = "others"
    ANY = "any"


class ScalePer(Enum):
    """What a container has one instance for."""

    NODE = "per_node"
    SLOT = "per_slot"


@record
class Mount:
    """``"/on/node:/in/container:ro"``; both paths are absolute."""

    source: str
    target: str
    read_only: bool = False


@record
class Link:
    """``"database:DB_HOST"``: the host name of ``container`` in the environment variable ``variable``."""

    container: str
    variable: str


@record
class Ready:
    """When a container counts as ready: exactly one of ``tcp`` (a port), ``command``, ``log`` (a text) is set."""

    tcp: int | None = None
    command: tuple[str, ...] | None = None
    log: str | None = None
    timeout_s: float = READY_TIMEOUT_S


@record
class Resources:
    """Limits of one instance; None is no limit of its own."""

    cpus: float | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    shm_bytes: int | None = None


@record
class Placement:
    """Which nodes an instance may go to. ``max_per_node`` None is no bound; ``exclusive`` is a node to itself."""

    on: PlaceOn = PlaceOn.ANY
    max_per_node: int | None = None
    exclusive: bool = False


@record
class Container:
    """One entry of the definition.

    ``scale`` is a number of instances (≥ 1), or one for each node or slot. ``tags`` are the tags of
    ``host_to_list``; ``listed`` says whether the instances stand in the hostfile at all (the format "list" has no
    tags). ``command`` (``run_cmd``) and ``entrypoint`` None leave the image's own. ``stop_signal`` and
    ``stop_grace_s`` None leave the image's and the site's. ``failure_policy`` None reports a failed worker and
    ends the run when its node is lost.
    """

    name: str
    image: str
    interactive: bool = False
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    work_dir: str | None = None
    scale: int | ScalePer = 1
    hostfile_dir: str = HOSTFILE_DIR
    tags: tuple[str, ...] = ()
    listed: bool = False
    links: tuple[Link, ...] = ()
    depends_on: tuple[str, ...] = ()
    ready: Ready | None = None
    ports: tuple[int, ...] = ()
    resources: Resources = Resources()
    placement: Placement = Placement()
    failure_policy: FailurePolicy | None = None
    max_restarts: int = 0
    tty: bool = False
    stop_signal: str | None = None
    stop_grace_s: float | None = None
    checkpointing: bool = False

    @property
    def scaled(self) -> bool:
        """Whether instances carry a number: ``worker-1`` rather than ``worker``."""
        return self.scale != 1


class Written(Protocol):
    """The file that a definition was read from."""

    def problem(self, path: tuple[str | int, ...], what: str, remedy: str) -> str:
        """A message about the value at ``path``, which begins with its place: ``job.json:12:9: ...``."""


@record
class Definition:
    """A whole docker definition; ``containers`` in file order, exactly one of them interactive.

    ``ssh_port`` is where the ssh servers in the containers are to listen; None: the run makes no keys. ``pull`` holds
    unless the command line says otherwise. ``written`` knows the places in the file, None if there is none.
    """

    containers: tuple[Container, ...]
    hostfile_format: HostfileFormat = HostfileFormat.JSON
    network: NetworkMode = NetworkMode.AUTO
    name: str | None = None
    ssh_port: int | None = SSH_PORT
    pull: PullPolicy = PullPolicy.MISSING
    written: Written | None = field(default=None, repr=False, compare=False)

    @property
    def head(self) -> Container:
        """The interactive container: attached to, its exit code is the run's."""
        return next(container for container in self.containers if container.interactive)

    @property
    def workers(self) -> tuple[Container, ...]:
        """All other containers, in file order."""
        return tuple(container for container in self.containers if not container.interactive)
