"""Containers of runs as they are found on nodes: of which run, which of them are meant, in which order they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dgrid.errors import UsageError
from dgrid.plan.folding import fold, unfold
from dgrid.plan.nodelist import is_address, same_host_key
from dgrid.record import record

HEAD = "head"
"""The head container's value of the label io.dgrid.role."""


@record
class Listed:
    """A container of a run, found on ``machine``; ``node`` is what the run calls that machine.

    ``name`` is that of the hostfile (``worker-2``), ``container`` the definition's (``worker``). ``nodes`` are the
    run's, folded. ``state`` is created, running, paused or exited, or some rarer word of the engine's. ``exit_code`` is
    None while it has not ended.
    """

    machine: str
    container_id: str
    node: str
    name: str
    container: str
    index: int
    role: str
    session: str
    job: str
    user: str
    nodes: str
    image: str
    state: str
    age_s: float
    exit_code: int | None = None
    out_of_memory: bool = False

    @property
    def is_head(self) -> bool:
        """Whether it is the head container."""
        return self.role == HEAD

    @property
    def is_running(self) -> bool:
        """Whether it runs, or would if it were not paused."""
        return self.state in ("running", "paused")


def in_order(listed: Iterable[Listed]) -> tuple[Listed, ...]:
    """Runs by session; within one by node, as the run counts them, the head first, then by name and index."""

    found = tuple(listed)
    ranks = {text: {name: at for at, name in enumerate(_unfolded(text))} for text in {one.nodes for one in found}}

    def rank(one: Listed) -> tuple[str, int, str, bool, str, int]:
        known = ranks[one.nodes]
        return one.session, known.get(one.node, len(known)), one.node, not one.is_head, one.container, one.index

    return tuple(sorted(found, key=rank))


def narrow(listed: Iterable[Listed], session: str | None, job: str | None) -> tuple[Listed, ...]:
    """Those whose session begins with ``session`` and whose job is ``job``: "12" also means "12.server"."""
    return tuple(
        one for one in listed if (not session or one.session.startswith(session)) and (not job or _is_job(one.job, job))
    )


def only_run(listed: Sequence[Listed], looked_at: str) -> tuple[Listed, ...]:
    """All of ``listed``, if they are of one run. Raises UsageError that lists the runs, or says where there is none."""
    sessions = dict.fromkeys(one.session for one in listed)
    if len(sessions) == 1:
        return tuple(listed)
    if not sessions:
        raise UsageError(
            f"found no such run of yours on {looked_at} — name its nodes with -w NODES, or its job with --job ID"
        )
    lines = [_run_line([one for one in listed if one.session == session]) for session in sessions]
    raise UsageError("\n".join((f"{len(lines)} runs are there — say which one with --session or --job:", *lines)))


def pick(listed: Sequence[Listed], words: Sequence[str]) -> tuple[Listed, ...]:
    """The containers that ``words`` name, all for no words, in the order of ``listed``.

    A word is an instance's name, a container's name for all of its instances, or several of them folded
    (``worker-[1-3]``). Raises UsageError for one that is no name here, with the nearest that is.
    """
    if not words:
        return tuple(listed)
    known = dict.fromkeys(name for one in listed for name in (one.name, one.container))
    wanted = [name for word in words for name in (_unfolded(word) or (word,))]
    for name in wanted:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {fold(one.name for one in listed)}"
            raise UsageError(f"this run has no container {name} on the nodes looked at — {hint}")
    return tuple(one for one in listed if one.name in wanted or one.container in wanted)


def more_nodes(listed: Iterable[Listed], reached: Iterable[str]) -> tuple[str, ...]:
    """Nodes of the same runs that were not looked at yet.

    A run of ``--local N`` calls this machine by names that lead nowhere, so its nodes do not count.
    """
    known = set(reached)
    found = dict.fromkeys(node for one in listed if _is_called(one.machine, one.node) for node in _unfolded(one.nodes))
    return tuple(node for node in found if node not in known)


def _is_called(machine: str, node: str) -> bool:
    """Whether both may be names of one host: the same, or one of them short, or an address."""
    one, other = same_host_key(machine), same_host_key(node)
    return one == other or is_address(node) or one.partition(".")[0] == other.partition(".")[0]


def _unfolded(text: str) -> tuple[str, ...]:
    try:
        return unfold(text)
    except ValueError:
        return ()


def _is_job(label: str, wanted: str) -> bool:
    return label == wanted or ("." not in wanted and label.partition(".")[0] == wanted)


def _run_line(run: Sequence[Listed]) -> str:
    nodes = fold(dict.fromkeys(one.node for one in run))
    return f"  session {run[0].session}, job {run[0].job or '-'}, on {nodes}, {age(max(one.age_s for one in run))} old"


def age(seconds: float) -> str:
    """``age(3725) == "1h02m"``, ``age(125) == "2m05s"``, ``age(5) == "5s"``, ``age(180000) == "2d02h"``."""
    whole = max(0, int(seconds))
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // smaller:02d}{small_unit}"
    return f"{whole}s"
