"""The shape of a row of the table of batch systems, and of what a row makes of an environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field

from dgrid.batch.listing import JobNodes, shown_name
from dgrid.batch.query import JobQuery
from dgrid.batch.shares import JobShares, own_gpus
from dgrid.batch.sources import Sources, Surroundings
from dgrid.record import record

# Whatever the system: what opens doors stays outside the containers, whose environment anyone may read with
# ``docker inspect``.
_SECRET = re.compile(r"COOKIE|MOMPORT|TOKEN|SECRET|PASSW|CREDENTIAL|_CREDS?\b|_KEY", re.IGNORECASE)


def _nothing_more(_around: Surroundings) -> Mapping[str, str]:
    return {}


@record
class BatchSystem:
    """One row: how a batch system tells a job about itself, and how it ends it.

    ``signs``: any of these variables, set and not empty, shows the system. ``job_id``, ``job_name``, ``owner``,
    ``submit_directory``, ``array_index``: the variable with each, "" where there is none; ``no_index`` is the value
    that an array index has outside an array. ``more`` gives what is said elsewhere than in the environment, under names
    that no variable has; a row may name these as well.

    ``shares`` reads which GPUs, CPUs and memory of each node are the job's; None where just CUDA's variable may tell.

    ``list_nodes`` reads nodes and slots; ``nodes_in`` are the variables of which one must be set for it, none if it
    needs none. ``rank`` is the variable that is "0" in the process that is to run dgrid, where the system starts
    several, and ``rank_remedy`` what to do.

    ``prefixes``: the system's own variables, which every container gets, with ``also`` and without ``withheld``.

    ``reach`` is the system's own command to another node of the job, which the node's name ends; ("ssh",) is ssh.
    ``leaves_s`` is the time from the TERM that a deleted or overdue job gets to its KILL, as the system is delivered;
    None where that is not known, and where there is no TERM but KILL at once. ``signals`` says it in words.
    ``time_left`` tells how many seconds are left to a job of that id. ``attach`` are the command and the options by
    which a process becomes one of the job: ``("pbs_attach", "-j", "-p")``. ``query`` asks for the nodes of a job from
    outside of it.
    """

    name: str
    signs: tuple[str, ...]
    job_id: str
    list_nodes: Callable[[Surroundings], JobNodes]
    nodes_in: tuple[str, ...] = ()
    job_name: str = ""
    owner: str = ""
    submit_directory: str = ""
    array_index: str = ""
    no_index: str = ""
    more: Callable[[Surroundings], Mapping[str, str]] = _nothing_more
    rank: str = ""
    rank_remedy: str = ""
    prefixes: tuple[str, ...] = ()
    also: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()
    reach: tuple[str, ...] = ("ssh",)
    leaves_s: float | None = None
    signals: str = ""
    time_left: Callable[[Sources, str], float | None] | None = None
    attach: tuple[str, ...] = ()
    query: JobQuery | None = None
    shares: Callable[[Surroundings], JobShares] | None = None

    def shares_in(self, around: Surroundings) -> JobShares:
        """What of the nodes is the job's."""
        return self.shares(around) if self.shares else own_gpus(around, self.name)

    def is_shown_by(self, environment: Mapping[str, str]) -> bool:
        """Whether the environment has a sign of this system."""
        return any(environment.get(sign) for sign in self.signs)

    def tells_nodes(self, environment: Mapping[str, str]) -> bool:
        """Whether what names the nodes is set."""
        return not self.nodes_in or any(environment.get(name) for name in self.nodes_in)


@record
class BatchJob:
    """The job dgrid runs in. What the system does not tell is None.

    ``ended_by`` is who ends the job, and ``leaves_s`` the time it leaves between TERM and KILL, None where that is not
    known: Slurm's Torque commands look like PBS, and the job ends as Slurm's do. ``said`` is the environment, and what
    the system says elsewhere. ``others`` are systems of which there are signs as well; this job is the inner one.
    ``contradictions`` are sentences on their variables, where these do not fit together.
    """

    system: str
    job_id: str | None
    variables: tuple[tuple[str, str], ...]
    ended_by: str | None = None
    leaves_s: float | None = None
    signals: str = ""
    job_name: str | None = None
    owner: str | None = None
    submit_directory: str | None = None
    array_index: str | None = None
    reach: tuple[str, ...] = ("ssh",)
    others: tuple[str, ...] = ()
    taken: tuple[tuple[str, str], ...] = ()
    said: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    contradictions: tuple[str, ...] = ()


def read_job(
    system: BatchSystem,
    around: Surroundings,
    ends: BatchSystem,
    others: tuple[str, ...] = (),
    contradictions: tuple[str, ...] = (),
) -> BatchJob:
    """The job as a row reads it. ``ends`` is the row of the system that ends it."""
    said = {**around.environment, **system.more(around)}

    def told(name: str, unless: str = "") -> str | None:
        value = said.get(name) if name else None
        return value if value and value != unless else None

    facts = {
        "job": system.job_id,
        "name": system.job_name,
        "owner": system.owner,
        "submit directory": system.submit_directory,
        "array index": system.array_index,
    }
    index = told(system.array_index, system.no_index)
    return BatchJob(
        system=system.name,
        job_id=told(system.job_id),
        variables=tuple((name, said[name]) for name in sorted(around.environment) if _given_on(system, name)),
        ended_by=ends.name,
        leaves_s=ends.leaves_s,
        signals=ends.signals,
        job_name=told(system.job_name),
        owner=told(system.owner),
        submit_directory=told(system.submit_directory),
        array_index=index,
        reach=ends.reach,
        others=others,
        taken=tuple(
            (what, shown_name(name)) for what, name in facts.items() if told(name) and (what != "array index" or index)
        ),
        said=said,
        contradictions=contradictions,
    )


def _given_on(system: BatchSystem, name: str) -> bool:
    own = name.startswith(system.prefixes) or name in system.also
    return own and name not in system.withheld and not _SECRET.search(name)
