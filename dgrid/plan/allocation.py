"""The nodes and slots the batch system gave, and who asked for them."""

from __future__ import annotations

from collections.abc import Iterable

from dgrid.errors import UsageError
from dgrid.plan.folding import fold
from dgrid.plan.job_share import JobShare
from dgrid.plan.nodelist import is_address, same_host_key
from dgrid.record import record

LARGEST_UID = 2**31 - 1  # Docker and Podman refuse ids above it


@record
class Node:
    """One host of the allocation, named as the node file names it.

    ``slots`` is how many instances it takes (lines of the node file); None where nobody counts them: outside a job,
    and with ``--local N``. ``is_local`` says that dgrid runs on it; with ``--local N`` all N nodes are this machine.
    ``share`` is what of it is the job's; None outside a job.
    """

    name: str
    slots: int | None
    is_local: bool = False
    share: JobShare | None = None

    @property
    def machine(self) -> str:
        """The same for nodes that are the same machine: its name, or "" for this machine."""
        return "" if self.is_local else self.name


@record
class Told:
    """What the batch system tells of the job beside its id and its nodes; None where it does not.

    ``reach`` is the system's command to another node of the job, ``signals`` says in words how the job is ended.
    ``taken`` are pairs of what was learnt and where: ("slots", "$SLURM_TASKS_PER_NODE"). ``remarks`` say that there is
    another system as well; ``contradictions`` are variables that do not fit together, and say which was taken.
    """

    name: str | None = None
    owner: str | None = None
    submit_directory: str | None = None
    array_index: str | None = None
    reach: tuple[str, ...] = ("ssh",)
    signals: str = ""
    taken: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()


@record
class Allocation:
    """Nodes in node-file order, at least one of them local.

    ``source`` says in words where they come from ("node file /var/spool/aux/12.head"). ``job_id`` is None outside
    a job. ``job_variables`` are the batch system's own variables, given on to every container. ``ended_by`` names the
    batch system that ends the job (Slurm, where its Torque commands make it look like PBS), and ``leaves_s`` is the
    time it leaves between TERM and KILL; None where that is not known. ``told`` is None outside a job.
    """

    nodes: tuple[Node, ...]
    source: str
    batch_system: str | None = None
    job_id: str | None = None
    job_variables: tuple[tuple[str, str], ...] = ()
    ended_by: str | None = None
    leaves_s: float | None = None
    told: Told | None = None

    @property
    def here(self) -> Node:
        """The node dgrid runs on: the head container's node."""
        return next(node for node in self.nodes if node.is_local)

    @property
    def machines(self) -> int:
        """How many different machines the nodes are; less than nodes only with ``--local``."""
        return len({node.machine for node in self.nodes})

    @property
    def slots(self) -> int | None:
        """All slots together; None where they are not counted."""
        counted = [node.slots for node in self.nodes if node.slots is not None]
        return sum(counted) if len(counted) == len(self.nodes) else None


@record
class Submitter:
    """The user every container runs as, resolved once on the head.

    ``groups`` are supplementary gids; ``group_names`` are (gid, name) of all groups that have a name there.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    group_names: tuple[tuple[int, str], ...] = ()


@record
class ThisHost:
    """What the machine dgrid runs on is called: host names, short or full, and IP addresses."""

    names: frozenset[str]
    addresses: frozenset[str] = frozenset()


def allocate(
    nodes: Iterable[tuple[str, int]],
    this_host: ThisHost,
    source: str,
    *,
    batch_system: str | None = None,
    job_id: str | None = None,
    job_variables: tuple[tuple[str, str], ...] = (),
    ended_by: str | None = None,
    leaves_s: float | None = None,
    told: Told | None = None,
) -> Allocation:
    """``allocate((("n1", 2), ("n2", 2)), ThisHost(frozenset({"n1"})), "node file x").here.name == "n1"``.

    A node is local when its name or address is one of this host's. Where none is, a short name counts as the FQDN
    that begins with it. Raises UsageError when no node is this machine, or when the short name fits several nodes.
    """
    listed = tuple(nodes)
    local = _local_names([name for name, _ in listed], this_host, source)
    return Allocation(
        tuple(Node(name, slots, name in local) for name, slots in listed),
        source,
        batch_system,
        job_id,
        job_variables,
        ended_by,
        leaves_s,
        told,
    )


def this_machine(
    hostname: str,
    local: int | None = None,
    *,
    batch_system: str | None = None,
    job_id: str | None = None,
    job_variables: tuple[tuple[str, str], ...] = (),
    ended_by: str | None = None,
    leaves_s: float | None = None,
    told: Told | None = None,
) -> Allocation:
    """``this_machine("laptop")``: one node of that name; ``this_machine("laptop", 3)``: local1, local2 and local3.

    Slots are not counted here: nobody gave any, and a small definition should just work.
    """
    if local is None:
        nodes: tuple[Node, ...] = (Node(hostname, None, True),)
        source = "this machine"
    else:
        nodes = tuple(Node(f"local{number}", None, True) for number in range(1, local + 1))
        source = f"this machine posing as {local} nodes"
    return Allocation(nodes, source, batch_system, job_id, job_variables, ended_by, leaves_s, told)


def check_submitter(submitter: Submitter) -> None:
    """Refuse users no container may run as: root, and uids or gids the engines cannot take. Raises UsageError."""
    if submitter.uid == 0:
        raise UsageError(
            "dgrid does not run as root: containers run as the user who submits the job — "
            "log in as an ordinary user and submit the job again"
        )
    for what, number in (("uid", submitter.uid), ("gid", submitter.gid)):
        if not 0 <= number <= LARGEST_UID:
            raise UsageError(
                f"the {what} {number} of {submitter.name} is larger than {LARGEST_UID}, the largest that container "
                "engines take — ask the administrators for an account with a smaller one"
            )


def _local_names(names: list[str], this_host: ThisHost, source: str) -> frozenset[str]:
    mine = {same_host_key(name) for name in (*this_host.names, *this_host.addresses)}
    exact = frozenset(name for name in names if same_host_key(name) in mine)
    if exact:
        return exact
    similar = frozenset(name for name in names if _same_short(same_host_key(name), mine))
    if len(similar) > 1:
        raise UsageError(
            f"{source}: any of {fold(sorted(similar))} may be this machine, which is called "
            f"{_called(this_host)} — write the full host names"
        )
    if not similar:
        raise UsageError(
            f"{source} names {fold(names)}, but dgrid runs on {_called(this_host)}, which is none of them — "
            "run dgrid inside the job script, on one of the job's nodes"
        )
    return similar


def _same_short(key: str, mine: set[str]) -> bool:
    """Whether one name is short and the other begins with it. Two different full names are two hosts."""
    if is_address(key):
        return False
    short = key.partition(".")[0]
    return any(short == other.partition(".")[0] and (key == short or "." not in other) for other in mine)


def _called(this_host: ThisHost) -> str:
    names = sorted(this_host.names - {"localhost"}, key=lambda name: (len(name), name))
    return " or ".join(names) or "a machine without a name"
