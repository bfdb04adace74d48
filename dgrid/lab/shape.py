"""What a lab is made of: its name, its hosts, its people, its flavour."""

from __future__ import annotations

import json
import re
from enum import Enum
from pathlib import PurePosixPath

from dgrid.errors import UsageError
from dgrid.record import record

LABEL = "io.dgrid.lab"
"""On every object of a lab; its value is the lab's name. Nothing is ever found or removed by anything else."""

HOST_LABEL = "io.dgrid.lab.host"
SHAPE_LABEL = "io.dgrid.lab.shape"

FRONT = "front"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_MOST_NODES = 64
_OWN_TARGETS = ("/", "/home", "/lab", "/opt/dgrid", "/etc", "/usr", "/var", "/run", "/proc", "/sys", "/dev")


class Batch(Enum):
    """The batch system of a lab."""

    TORQUE = "torque"
    """Slurm with its Torque commands: qsub, qstat, qdel and ``#PBS`` lines."""
    SLURM = "slurm"
    """Slurm alone: sbatch, srun, squeue, scancel."""
    OAR = "oar"
    HTCONDOR = "htcondor"
    SGE = "sge"
    """Grid Engine."""
    NONE = "none"
    """ssh and engines only."""

    @property
    def directory(self) -> str | None:
        """Where in the image's sources its part lies, ``batch.sh`` and what that needs; None: it has none."""
        return {Batch.TORQUE: "slurm", Batch.NONE: None}.get(self, self.value)


class NodeEngine(Enum):
    """What runs containers on the nodes."""

    DOCKER = "docker"
    """Each node has its own dockerd; rootless Podman is there to be tried, too."""
    PODMAN = "podman"
    """No dockerd: Podman alone, as the ordinary user."""


@record
class LabUser:
    """An ordinary user of the lab, the same on all hosts."""

    name: str
    uid: int
    gid: int


@record
class Bind:
    """A directory or file of this machine that every host has at ``target``."""

    source: str
    target: str
    read_only: bool = False


@record
class Port:
    """``Port(8080, 80)``: port 8080 of this machine's own address 127.0.0.1 is the frontend's port 80."""

    here: int
    front: int


@record
class Shape:
    """``Shape("dev", node_count=2, users=lab_users("root", 0, 0)).hosts == ("front", "node1", "node2")``.

    ``slots`` is how many slots (``ppn``) each node offers to the batch system; ``swarm`` joins the nodes'
    engines. The first of ``users`` is the lab's own user. ``numbers`` are those of the nodes, where they are not 1 to
    ``node_count`` as nodes were removed. Raises UsageError for a shape that cannot be built.
    """

    name: str
    node_count: int = 4
    batch: Batch = Batch.TORQUE
    engine: NodeEngine = NodeEngine.DOCKER
    slots: int = 4
    swarm: bool = False
    users: tuple[LabUser, ...] = ()
    binds: tuple[Bind, ...] = ()
    ports: tuple[Port, ...] = ()
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        if not 1 <= self.node_count <= _MOST_NODES:
            raise UsageError(f"a lab has 1 to {_MOST_NODES} nodes, not {self.node_count}")
        if self.slots < 1:
            raise UsageError(f"a node has a slot at least, not {self.slots}")
        _check_ports(self.ports)
        if self.swarm and self.engine is NodeEngine.PODMAN:
            raise UsageError("--swarm joins Docker engines; it does not go with --engine podman")

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' host names, in order."""
        return tuple(f"node{number}" for number in self.numbers or range(1, self.node_count + 1))

    @property
    def hosts(self) -> tuple[str, ...]:
        """All host names, the frontend first."""
        return (FRONT, *self.nodes)


def check_name(name: str) -> None:
    """Raises UsageError unless ``name`` can be the name of a lab, as ``dev`` or ``t4711``."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a lab's name: use at most 31 small letters, digits and hyphens")


def _check_ports(ports: tuple[Port, ...]) -> None:
    for port in ports:
        fronts = [str(other.front) for other in ports if other.here == port.here]
        if len(fronts) > 1:
            raise UsageError(
                f"port {port.here} of this machine is published more than once (for the frontend's "
                f"{', '.join(fronts)}); choose another one for each"
            )


def parse_bind(text: str, directory: str) -> Bind:
    """``parse_bind("data:/data:ro", "/home/eve") == Bind("/home/eve/data", "/data", True)``.

    A relative path begins at ``directory``. Raises UsageError for what is no HOST:CONTAINER, and for targets that the
    lab needs for itself.
    """
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in ("", "ro", "rw"):
        raise UsageError(f"{text!r} is no volume: write HOST:CONTAINER or HOST:CONTAINER:ro, as in data:/data:ro")
    path = PurePosixPath(target)
    if path in map(PurePosixPath, _OWN_TARGETS) or ".." in path.parts:
        raise UsageError(f"a volume cannot be at {target}, which the lab needs for itself; choose another directory")
    return Bind(str(PurePosixPath(directory) / source), str(path), mode == "ro")


def parse_port(text: str) -> Port:
    """``parse_port("8080:80") == Port(8080, 80)``. Raises UsageError."""
    here, _, front = text.partition(":")
    numbers = [int(part) if part.isdecimal() else 0 for part in (here, front)]
    if not all(1 <= number <= 65535 for number in numbers):
        raise UsageError(f"{text!r} is no pair of ports: write PORT-HERE:PORT-OF-THE-FRONTEND, as in 8080:80")
    return Port(*numbers)


def lab_users(name: str, uid: int, gid: int) -> tuple[LabUser, ...]:
    """``lab_users("root", 0, 0)[0] == LabUser("alice", 2001, 2001)``: the caller, and one more user.

    The caller keeps name and numbers; root becomes alice, as nobody is root on a cluster. The second user,
    for trying what others may see, is bob (robert beside a bob).
    """
    own = LabUser("alice", 2001, 2001) if uid == 0 else LabUser(name, uid, gid)
    other_uid = 2002 if own.uid != 2002 else 2003
    return own, LabUser("bob" if own.name != "bob" else "robert", other_uid, other_uid)


def shape_to_text(shape: Shape) -> str:
    """The shape as one line, for a label on each host; ``shape_from_text`` reads it."""
    return json.dumps(
        {
            "name": shape.name,
            "nodes": shape.node_count,
            "batch": shape.batch.value,
            "engine": shape.engine.value,
            "slots": shape.slots,
            "swarm": shape.swarm,
            "users": [[user.name, user.uid, user.gid] for user in shape.users],
            "binds": [[bind.source, bind.target, bind.read_only] for bind in shape.binds],
            "ports": [[port.here, port.front] for port in shape.ports],
            "numbers": shape.numbers,
        }
    )


def shape_from_text(text: str) -> Shape:
    """The Shape that ``shape_to_text`` wrote, be it that of an older dgrid, which knew less of labs."""
    values = json.loads(text)
    return Shape(
        name=values["name"],
        node_count=values["nodes"],
        batch=Batch(values["batch"]),
        engine=NodeEngine(values["engine"]),
        slots=values["slots"],
        swarm=values["swarm"],
        users=tuple(LabUser(*user) for user in values["users"]),
        binds=tuple(Bind(*bind) for bind in values.get("binds", ())),
        ports=tuple(Port(*port) for port in values.get("ports", ())),
        numbers=tuple(values.get("numbers", ())),
    )
