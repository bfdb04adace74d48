"""From the command line, the environment and this machine to an Allocation and a Submitter."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import click

from dgrid.batch.detect import detect_in, nodes_of, other_rank, shares_of, tells_nodes
from dgrid.batch.listing import JobNodes
from dgrid.batch.marking_group import marking_group
from dgrid.batch.sources import Surroundings
from dgrid.batch.system import BatchJob
from dgrid.cli.settings import find_settings
from dgrid.cli.surroundings import read_limited, surroundings
from dgrid.errors import UsageError
from dgrid.plan.allocation import Allocation, Node, Submitter, ThisHost, Told, allocate, this_machine
from dgrid.plan.nodelist import is_address, parse_node_file


def allocation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options ``hostfile`` and ``local``, for every command that needs an allocation."""
    hostfile = click.option(
        "--hostfile",
        metavar="FILE",
        help="The job's node file, one line a slot. Without it: the batch system's own, or this machine.",
    )
    local = click.option(
        "--local",
        metavar="N",
        type=click.IntRange(1, 1000),
        help="No job: this machine, posing as N nodes.",
    )
    return hostfile(local(command))


def find_allocation(hostfile: str | None, local: int | None, environment: Mapping[str, str]) -> Allocation:
    """The nodes of ``--hostfile``, else of ``--local``, else of the batch system's environment, else this machine.

    Job id and job variables come from the environment in each case. Raises UsageError for options that contradict each
    other, a file that cannot be read, an allocation without this machine, and all but the first of several processes
    that the batch system started, unless with ``--local``; NodeFileError for a bad node file.
    """
    if hostfile is not None and local is not None:
        raise UsageError("--hostfile and --local contradict each other — give one of them")
    if hostfile is not None and not hostfile.strip():
        raise UsageError(
            "--hostfile is empty; if it was to be $PBS_NODEFILE, that is set inside a job only — "
            "submit a job script that runs dgrid, or leave the option out to use this machine"
        )
    around = surroundings(environment)
    job = detect_in(around)
    return _with_shares(_find(hostfile, local, around, job), around, job)


def _find(hostfile: str | None, local: int | None, around: Surroundings, job: BatchJob | None) -> Allocation:
    if local is None and job is not None and (refusal := other_rank(job)):
        raise UsageError(refusal)
    if hostfile is not None:
        nodes = parse_node_file(_read(hostfile), hostfile)
        return allocate(nodes, _this_host(name for name, _ in nodes), f"node file {hostfile}", **_said_by(job))
    if local is not None or job is None:
        return this_machine(socket.gethostname(), local, **_said_by(job))
    listed = nodes_of(job, around)
    return allocate(listed.nodes, _this_host(name for name, _ in listed.nodes), listed.source, **_said_by(job, listed))


def _with_shares(found: Allocation, around: Surroundings, job: BatchJob | None) -> Allocation:
    """With what of each node is the job's; nothing where the settings leave the job's limits alone."""
    if job is None or found.told is None or find_settings(around.environment).job_limits == "none":
        return found
    shares = shares_of(job, around)
    nodes = tuple(replace(node, share=shares.of(node.name, node.is_local)) for node in found.nodes)
    return replace(found, nodes=nodes, told=replace(found.told, taken=(*found.told.taken, *shares.taken)))


def _said_by(job: BatchJob | None, listed: JobNodes | None = None) -> dict[str, Any]:
    if job is None:
        return {}
    told = Told(
        job.job_name,
        job.owner,
        job.submit_directory,
        job.array_index,
        job.reach,
        job.signals,
        (*(listed.taken if listed else ()), *job.taken),
        _remarks(job),
        (*job.contradictions, *(listed.contradictions if listed else ())),
    )
    return {
        "batch_system": job.system,
        "job_id": job.job_id,
        "job_variables": job.variables,
        "ended_by": job.ended_by,
        "leaves_s": job.leaves_s,
        "told": told,
    }


def _remarks(job: BatchJob) -> tuple[str, ...]:
    if not job.others:
        return ()
    ends = f"; {job.ended_by} ends it" if job.ended_by != job.system else ""
    return (
        f"there are variables of {' and '.join(job.others)}, too: the job is taken to be one of {job.system}, "
        f"the inner of them{ends}",
    )


def find_nodes(hostfile: str | None, local: int | None, environment: Mapping[str, str]) -> tuple[Node, ...]:
    """This machine, then the nodes of ``--hostfile`` or of the job: for work that any of them can do.

    This machine need not be one of them. Raises UsageError and NodeFileError as ``find_allocation`` does.
    """
    here = Node(socket.gethostname(), None, True)
    if local is not None:
        return (here,)
    nodes = nodes_of_file(hostfile) if hostfile is not None else own_nodes(environment) or ()
    return (here, *(node for node in nodes if not node.is_local))


def own_nodes(environment: Mapping[str, str]) -> tuple[Node, ...] | None:
    """The nodes of the job that this process is in, though this machine need not be one.

    None outside a job, and where the batch system does not tell them. Raises UsageError and NodeFileError.
    """
    around = surroundings(environment)
    job = detect_in(around)
    if job is None or not tells_nodes(job):
        return None
    listed = nodes_of(job, around)
    return _as_nodes(listed.nodes, listed.source)


def nodes_of_file(path: str) -> tuple[Node, ...]:
    """The nodes of a node file; this machine need not be one. Raises UsageError and NodeFileError."""
    return _as_nodes(parse_node_file(_read(path), path), path)


def as_nodes(names: tuple[str, ...]) -> tuple[Node, ...]:
    """Nodes of these names; that which is this machine, if any, is local. They have no slots."""
    return tuple(replace(node, slots=None) for node in _as_nodes(tuple((name, 1) for name in names), "the nodes"))


def _as_nodes(listed: tuple[tuple[str, int], ...], source: str) -> tuple[Node, ...]:
    try:
        return allocate(listed, _this_host(name for name, _ in listed), source).nodes
    except UsageError:  # this machine is none of them
        return tuple(Node(name, slots, False) for name, slots in listed)


def find_submitter() -> Submitter:
    """The user this process runs as, without the group that marks its job's processes.

    Raises UsageError for a user this machine knows no name of.
    """
    uid = os.getuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise UsageError(
            f"this machine knows no user with uid {uid} — ask the administrators whether the user directory answers"
        ) from None
    mark = marking_group(surroundings(os.environ))
    gid, groups = os.getgid(), tuple(group for group in os.getgroups() if group != mark)
    return Submitter(entry.pw_name, uid, gid, groups, entry.pw_dir, tuple(_group_names((gid, *groups))))


def _group_names(gids: Iterable[int]) -> Iterator[tuple[int, str]]:
    for gid in dict.fromkeys(gids):
        with contextlib.suppress(KeyError):  # a group without a name is one all the same
            yield gid, grp.getgrgid(gid).gr_name


def _read(path: str) -> bytes:
    return read_limited(
        path, "the node file", "give the path of the job's node file", "give a file with one host name a line"
    )


def _this_host(nodes: Iterable[str]) -> ThisHost:
    """This machine's names, and those of the addresses in the node file that are its own."""
    names = list(nodes)
    host = socket.gethostname()
    short = host.partition(".")[0].lower()
    mine = {host, "localhost"}
    # The full name may cost seconds (DNS): it is asked for only where short names cannot tell nodes apart.
    if sum(name.lower().partition(".")[0] == short for name in names) > 1:
        mine.add(socket.getfqdn())
    return ThisHost(frozenset(mine), frozenset(name for name in names if is_address(name) and _is_mine(name)))


def _is_mine(address: str) -> bool:
    """Whether an address belongs to this machine: only then may a socket be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind(socket.getaddrinfo(address, 0, family, socket.SOCK_DGRAM)[0][4])
        except OSError:
            return False
    return True
