"""One machine of a run, reached, checked and with its engine open."""

from __future__ import annotations

from dataclasses import replace

from dgrid.config import Settings
from dgrid.errors import NodeCheckError, NodeError
from dgrid.nodes.choose_engine import choose_engine, meet_early
from dgrid.nodes.docker_api import DockerApi
from dgrid.nodes.fanout import Meanwhile
from dgrid.nodes.link import Link, LinkKind
from dgrid.nodes.open_link import LinkOpener
from dgrid.nodes.probe import Findings, probe
from dgrid.plan.allocation import Allocation, Node
from dgrid.plan.job_cgroup import Hierarchy
from dgrid.plan.job_limits import Affinity
from dgrid.record import record

_GUARD_TIMEOUT_S = 3.0


@record
class Machine:
    """One machine with its link and engine. With ``--local`` it stands for several ``nodes``.

    ``remark`` says why its engine is not the one to be expected, None if it is. ``cgroups`` are those of the user's
    processes there, ``affinity`` the CPUs they may use, ``attachers`` the commands there that attach processes to a
    job. ``guard`` is a link by ssh to this very machine, None on others, outside of jobs, and where that cannot be: a
    batch system that kills all processes of a job at once, as by their cgroup, kills a leash that is one of them
    together with dgrid.
    """

    nodes: tuple[Node, ...]
    link: Link
    engine: DockerApi
    remark: str | None = None
    cgroups: tuple[Hierarchy, ...] = ()
    attachers: tuple[tuple[str, str], ...] = ()
    guard: Link | None = None
    affinity: Affinity | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.link.node

    def close(self) -> None:
        """Give up the engine and cut the link."""
        self.engine.close()
        self.link.close()
        if self.guard is not None:
            self.guard.close()


def by_machine(nodes: tuple[Node, ...]) -> tuple[tuple[Node, ...], ...]:
    """The nodes in groups that are one machine: those that are this machine first, then each of the others."""
    local = tuple(node for node in nodes if node.is_local)
    groups = [(node,) for node in nodes if not node.is_local]
    return (local, *groups) if local else tuple(groups)


def open_machine(
    nodes: tuple[Node, ...],
    uid: int,
    settings: Settings,
    opener: LinkOpener,
    sources: tuple[str, ...] = (),
    writable: tuple[str, ...] = (),
) -> Machine:
    """Reach a machine, log in, look whether it suits, find its engine. Raises NodeError.

    ``sources`` are paths that must be there, ``writable`` directories the user must be able to write to.
    """
    link = opener.open(nodes[0])
    wanted, socket_path, timeout_s = settings.engine, settings.engine_socket, settings.call_timeout_s
    meeting: Meanwhile[DockerApi | None] | None = None
    if nodes[0].is_local:
        # Not on others: each step is a session there, and where Docker is not for the user sshd's log would fill.
        meeting = Meanwhile(lambda: meet_early(link, wanted, socket_path, timeout_s))
    try:
        findings = probe(link, sources, writable, settings.connect_timeout_s)
        _check(link.node, findings, uid)
        met = meeting.result() if meeting is not None else None
        engine, remark = choose_engine(link, findings, wanted, socket_path, timeout_s, met)
        remark = "; ".join(filter(None, (link.remark, remark))) or None
        return Machine(nodes, link, engine, remark, findings.cgroups, findings.attachers, affinity=findings.affinity)
    except NodeError:
        link.close()
        raise


def open_guard(node: Node, settings: Settings) -> Link | None:
    """A link by ssh to this machine, None where it cannot be reached so, or not soon."""
    timeout_s = min(_GUARD_TIMEOUT_S, settings.connect_timeout_s)
    try:
        return LinkOpener(LinkKind(settings.link), timeout_s).open(replace(node, is_local=False))
    except NodeError:
        return None


def warned(machine: Machine, allocation: Allocation) -> Machine:
    """With a remark where a leash is a part of the job, and the batch system leaves it no time to do its work."""
    if machine.nodes[0].is_local or not machine.link.in_job or allocation.ended_by is None:
        return machine
    if allocation.leaves_s is not None:
        return machine
    warning = (
        f"{allocation.ended_by} kills all of a job's processes at once, the clean-up process there among them: when "
        "the job is deleted or overdue, containers stay there until an epilogue or `dgrid reap` removes them"
    )
    return replace(machine, remark="; ".join(filter(None, (machine.remark, warning))))


def _check(node: str, findings: Findings, uid: int) -> None:
    if findings.uid != uid:
        raise NodeCheckError(node, f"you have uid {findings.uid} there, but {uid} here; accounts must be the same")
    if findings.missing:
        paths = ", ".join(findings.missing)
        raise NodeCheckError(node, f"volumes: {paths} does not exist there; is it on a shared file system?")
    if findings.read_only:
        # The engine would write there as root, where the user may not.
        paths = ", ".join(findings.read_only)
        raise NodeCheckError(node, f"the hostfile would go to {paths}, where you may not write; set host_list_location")
