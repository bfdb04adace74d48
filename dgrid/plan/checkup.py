"""What ``dgrid doctor`` found on the nodes, and the findings it comes to: plain values."""

from __future__ import annotations

from enum import Enum

from dgrid.errors import NodeError
from dgrid.plan.allocation import Allocation, Node, Submitter
from dgrid.plan.definition import Definition
from dgrid.plan.facts import EngineKind
from dgrid.plan.job_cgroup import Hierarchy
from dgrid.record import record


class State(Enum):
    """How a finding is meant. A PROBLEM would keep a run from working; a NOTE would not."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@record
class Finding:
    """One finding: ``check`` is its stable name ("ssh.login"), ``nodes`` whom it is about, none for the job itself.

    ``remedy`` says what to do or whom to ask; notes and problems have one, what is in order has None.
    """

    check: str
    nodes: tuple[str, ...]
    state: State
    what: str
    remedy: str | None = None


@record
class LoginFound:
    """What a shell of the user's sees on a machine; None for what it could not learn.

    ``groups`` are (gid, name) of all groups, the first one too. ``chatter`` is what the login shell's start-up files
    print before a command's own output. ``clock_ahead_s`` is how much the machine's clock is ahead of ours, give or
    take ``clock_within_s``. ``tools`` are the commands that are there, of those a run may need. ``user_namespaces`` is
    false where users cannot make any. ``subuids`` and ``subgids`` count the user's subordinate ids. ``listening`` are
    TCP ports that somebody listens on.
    """

    uid: int
    gid: int
    groups: tuple[tuple[int, str], ...]
    chatter: str = ""
    clock_ahead_s: float = 0.0
    clock_within_s: float = 0.0
    tmp_free_bytes: int | None = None
    memory_free_bytes: int | None = None
    tools: frozenset[str] = frozenset()
    user_namespaces: bool = True
    subuids: int = 0
    subgids: int = 0
    listening: frozenset[int] = frozenset()


@record
class SwarmFound:
    """The swarm as a machine's engine sees it.

    ``state`` is Docker's word ("active", "inactive", "pending", "error", "locked"), ``error`` what it complains of.
    ``unreachable`` are the host names of managers that do not answer: only a manager knows.
    """

    state: str = "inactive"
    error: str = ""
    managers: frozenset[str] = frozenset()
    is_manager: bool = False
    unreachable: tuple[str, ...] = ()


@record
class Leftover:
    """Containers and networks with the labels of one session of the user's."""

    session: str
    job: str
    containers: int
    networks: int


@record
class EngineFound:
    """What a machine's engine says of itself, and what it has of the user's.

    ``parts`` are (name, version) of what it is made of: ("runc", "1.1.15+ds1"). ``authorization`` are the names of
    its authorization plugins. ``directory`` is where it stores images. ``tags`` are (name, image id) of the images it
    has; ``wanted`` those that were asked for, with None where it has no such image.
    """

    kind: EngineKind
    version: str
    rootless: bool = False
    has_init: bool = True
    architecture: str = "amd64"
    cgroup_driver: str = ""
    cgroup_version: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    authorization: tuple[str, ...] = ()
    directory: str = ""
    free_bytes: int | None = None
    swarm: SwarmFound = SwarmFound()
    tags: tuple[tuple[str, str], ...] = ()
    wanted: tuple[tuple[str, str | None], ...] = ()
    leftovers: tuple[Leftover, ...] = ()


@record
class Examined:
    """One machine, examined as far as it could be.

    ``way`` says how it is reached ("by ssh (paramiko)"). An error stands where the examination could not go on:
    ``unreached`` for the connection and the shell, ``engine_error`` for the engine. ``remark`` says why its engine
    is not the one to be expected. ``cgroups`` are those of the user's processes there, ``attachers`` the names of the
    batch system's commands there that attach processes to a job.
    """

    nodes: tuple[Node, ...]
    way: str
    unreached: NodeError | None = None
    login: LoginFound | None = None
    engine: EngineFound | None = None
    engine_error: NodeError | None = None
    remark: str | None = None
    cgroups: tuple[Hierarchy, ...] = ()
    attachers: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes that are this machine."""
        return tuple(node.name for node in self.nodes)


def names_of(machines: tuple[Examined, ...]) -> tuple[str, ...]:
    """The node names of several machines."""
    return tuple(name for machine in machines for name in machine.names)


@record
class Subject:
    """What is examined, and for whom.

    ``nodes`` come from ``source``, said in words; ``allocation`` is None where they cannot be a run's, as this machine
    is none of them. ``definition`` is the one to be run there, None if none was given. ``refusal`` says why the
    submitter may not run containers at all. ``job_limits`` is the setting of that name.
    """

    nodes: tuple[Node, ...]
    source: str
    submitter: Submitter
    batch_system: str | None = None
    job_id: str | None = None
    allocation: Allocation | None = None
    definition: Definition | None = None
    refusal: str | None = None
    job_limits: str = "auto"
