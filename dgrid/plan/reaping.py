"""What `dgrid reap` may remove: which objects carry a run's marks, whose they are, and which runs have ended.

Example: ``of_named(found, Wish(jobs=frozenset({"12.head"})))`` are the objects of that job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum

from dgrid.plan.naming import LABEL_JOB, LABEL_NODE, LABEL_SESSION, LABEL_USER, LEASH_WORD
from dgrid.record import record

# What tempfile.mkdtemp and mktemp make of "dgrid-" (link_openssh, choose_engine), and what is ever in there: the ssh
# master's socket, its errors and its forwarded sockets; Podman's socket and log.
_SCRATCH = re.compile(r"dgrid-[A-Za-z0-9_]{8}")
_SCRATCH_CONTENT = re.compile(r"m(\.\w+)?|errors|\d+|engine|log")


class Kind(Enum):
    """What a run leaves on an engine, in the order of removing it."""

    CONTAINER = "container"
    NETWORK = "network"
    DIRECTORY = "directory"


@record
class Found:
    """An object of some run on an engine. ``node`` is where it was made; ``running`` is for containers; ``swarm`` says
    that a network is one of many machines, and is seen on those that manage the swarm."""

    kind: Kind
    object_id: str
    name: str
    session: str
    job: str
    user: str
    node: str
    running: bool = False
    swarm: bool = False


@record
class Process:
    """A process of this machine: ``argv`` is what /proc tells of its command line."""

    pid: int
    uid: int
    argv: tuple[str, ...]


@record
class Wish:
    """What is to be removed: these ``jobs``, these ``sessions``, and with ``ended`` whatever run has ended.

    ``users`` are those whose objects may be touched at all, None for everybody's. ``by_word``: what is named has ended
    because the caller says so (a batch system does, in an epilogue), whatever still lives of it.
    """

    jobs: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    users: frozenset[str] | None = None
    ended: bool = False
    by_word: bool = False


def read_marks(
    kind: Kind, object_id: str, name: str, labels: Mapping[str, str], running: bool = False, swarm: bool = False
) -> Found | None:
    """The object if it is a run's, None for all others: a run's has the three labels, and the session is not empty."""
    if not labels.get(LABEL_SESSION) or LABEL_JOB not in labels or not labels.get(LABEL_USER):
        return None
    return Found(
        kind,
        object_id,
        name,
        labels[LABEL_SESSION],
        labels[LABEL_JOB],
        labels[LABEL_USER],
        labels.get(LABEL_NODE, ""),
        running,
        swarm,
    )


def of_named(found: Iterable[Found], wish: Wish) -> tuple[Found, ...]:
    """Those of the jobs and sessions that are named. The empty job id is that of all runs outside of jobs: no name."""
    return tuple(one for one in found if _is_allowed(one, wish) and _is_named(one, wish))


def of_others(found: Iterable[Found], wish: Wish, host: str) -> tuple[Found, ...]:
    """Those that are to go if their run has ended, though nobody named it.

    A swarm's network is judged where it was made, on ``host``: other managers see it, too, but not its run's process.
    """
    if not wish.ended:
        return ()
    rest = (one for one in found if _is_allowed(one, wish) and not _is_named(one, wish))
    return tuple(one for one in rest if not one.swarm or _short(one.node) == _short(host))


def leash_of(process: Process) -> str | None:
    """The session whose leash this process is: ``("sh", "-c", "...", "dgrid-leash", "k3x9")`` is that of k3x9."""
    for word, session in zip(process.argv, process.argv[1:], strict=False):
        if word == LEASH_WORD:
            return session
    return None


def live_sessions(processes: Iterable[Process]) -> frozenset[str]:
    """The sessions that have a leash among these processes."""
    return frozenset(session for one in processes if (session := leash_of(one)) is not None)


def leashes_of(sessions: Mapping[str, int], processes: Iterable[Process]) -> tuple[Process, ...]:
    """The leashes of these sessions, given with the uid of the user in their labels: nobody else's process is one."""
    return tuple(one for one in processes if sessions.get(leash_of(one) or "") == one.uid)


def is_scratch(name: str, content: Iterable[str]) -> bool:
    """Whether a directory in /tmp can be one of a run, by its name and by all the names in it."""
    return _SCRATCH.fullmatch(name) is not None and all(_SCRATCH_CONTENT.fullmatch(one) for one in content)


def is_used(path: str, processes: Iterable[Process], socket_paths: Iterable[str]) -> bool:
    """Whether a process names ``path``, or something in it, as an argument, or a unix socket in it is open."""
    if any(one == path or one.startswith(f"{path}/") for one in socket_paths):
        return True
    return any(path in argument for process in processes for argument in process.argv)


def _is_allowed(one: Found, wish: Wish) -> bool:
    return wish.users is None or one.user in wish.users


def _is_named(one: Found, wish: Wish) -> bool:
    return one.session in wish.sessions or (one.job != "" and one.job in wish.jobs)


def _short(host: str) -> str:
    return host.partition(".")[0].lower()
