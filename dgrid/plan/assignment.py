"""Which of the job's CPUs and GPUs on a node each instance there has for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dgrid.errors import PlanError
from dgrid.plan.allocation import Node
from dgrid.plan.definition import Definition
from dgrid.plan.facts import NodeFacts
from dgrid.plan.folding import fold
from dgrid.plan.job_limits import JobLimits
from dgrid.plan.job_share import JobShare, cpu_list, cpu_numbers
from dgrid.plan.network import Facts
from dgrid.plan.placement import Placed
from dgrid.record import record
from dgrid.units import format_size

_NANO = 1_000_000_000  # what engines count CPUs in: 15 times 0.2 of them are 3


@record
class Assigned:
    """What one instance has: ``cpuset`` and ``gpus`` as in a CreateRequest, within the job's limits on its node."""

    limits: JobLimits
    cpuset: str | None = None
    gpus: tuple[str, ...] | None = None


@record
class _Seat:
    """One machine with its instances, and what of it is the job's."""

    node: Node
    instances: tuple[Placed, ...]
    limits: JobLimits
    share: JobShare | None

    @property
    def cpu_count(self) -> int | None:
        """How many CPUs the job has there, None where nobody tells."""
        known = self.limits.known_cpus
        told = (len(cpu_numbers(known)) if known else None, self.share.cpu_count if self.share else None)
        return min((one for one in told if one is not None), default=None)

    @property
    def own_cpus(self) -> tuple[int, ...]:
        """The CPUs there that are the job's alone; none where it is not known which they are.

        A cgroup narrower than the node is made for the job. All CPUs of the node, or those of a process, may be other
        jobs' as well: they are this one's if the batch system does not count fewer.
        """
        limits = self.limits
        numbers = cpu_numbers(limits.known_cpus) if limits.known_cpus else ()
        told = self.share.cpu_count if self.share else None
        if told is None or (limits.cpus and not limits.beyond_cgroup):
            return numbers
        return numbers if told == len(numbers) or (limits.cpus and told > len(numbers)) else ()

    @property
    def memory_bytes(self) -> int | None:
        """How much memory the job has there, None where nobody tells."""
        told = (self.limits.memory_bytes, self.share.memory_bytes if self.share else None)
        return min((one for one in told if one is not None), default=None)


def assign(definition: Definition, placed: tuple[Placed, ...], facts: Facts) -> tuple[Assigned, ...]:
    """What each instance has of its node, in the same order.

    * ``gpus``: that many of the job's GPUs there, which no other instance has. Outside a job the engine chooses.
    * ``cpus``: where the job has a set of CPUs there, and the number is whole, that many, which no other instance has.
      Others share what is left: all that no instance has for itself, or where nothing is left all of the job's.
    * memory stays a limit, within the job's.

    In definition order, lowest numbers first. Raises PlanError where the instances on a node ask for more than the job
    has there.
    """
    seats = tuple(_seats(placed, facts))
    reasons = tuple(_reasons(definition, seats))
    if reasons:
        raise PlanError("\n".join(reasons))
    assigned = {id(one): has for seat in seats for one, has in _share_out(seat)}
    return tuple(assigned[id(one)] for one in placed)


def joined(limits: JobLimits, share: JobShare | None, facts: NodeFacts) -> JobLimits:
    """The limits of the job's cgroup on a node, with those that its process and its batch system tell.

    CPUs are the cgroup's, else those the job's own process there may use, if these are not all; else what the batch
    system tells, if the node has them all.
    """
    affinity = facts.affinity
    if facts.rootless or affinity is None:
        return limits
    online = set(cpu_numbers(affinity.online))
    allowed = set(cpu_numbers(affinity.allowed)) if affinity.of_job else online
    told = set(share.cpus or ()) if share else set()
    cgroup = set(cpu_numbers(limits.cpus)) if limits.cpus else online
    if allowed < cgroup:
        limits = replace(limits, cpus=cpu_list(allowed), beyond_cgroup=True)
    elif limits.cpus is None and told and told < online:
        limits = replace(limits, cpus=cpu_list(told), beyond_cgroup=True)
    if share and share.memory_bytes is not None:
        limits = replace(limits, memory_bytes=min(share.memory_bytes, limits.memory_bytes or share.memory_bytes))
    return limits


def _seats(placed: tuple[Placed, ...], facts: Facts) -> Iterator[_Seat]:
    by_machine: dict[str, list[Placed]] = {}
    for one in placed:
        by_machine.setdefault(one.node.machine, []).append(one)
    for instances in by_machine.values():
        node = instances[0].node
        known = facts.get(node.name, NodeFacts())
        limits = joined(known.job_limits, node.share, known)
        yield _Seat(node, tuple(instances), limits, node.share)


def _share_out(seat: _Seat) -> Iterator[tuple[Placed, Assigned]]:
    gpus = iter(seat.share.gpus or () if seat.share else ())
    ours = seat.own_cpus
    taken, own = 0, {}
    for one in seat.instances:
        wanted = one.container.resources.cpus
        if ours and wanted is not None and wanted == int(wanted):
            own[id(one)] = cpu_list(ours[taken : taken + int(wanted)])
            taken += int(wanted)
    left = cpu_list(ours[taken:] or ours) if taken else None
    for one in seat.instances:
        wanted_gpus = one.container.resources.gpus
        chosen = None if seat.share is None else tuple(next(gpus) for _ in range(wanted_gpus or 0))
        yield one, Assigned(seat.limits, own.get(id(one), left), chosen)


@record
class _Excess:
    """The instances on a node ask for more than there is; equal ones of several nodes become one message."""

    path: tuple[str | int, ...]
    name: str
    asked: str
    has: str
    remedy: str


def _reasons(definition: Definition, seats: tuple[_Seat, ...]) -> Iterator[str]:
    found: dict[_Excess, list[str]] = {}
    for seat in seats:
        for excess in _excesses(definition, seat):
            found.setdefault(excess, []).append(seat.node.name)
    for excess, names in found.items():
        what = f"the instances on {fold(names)} ask for {excess.asked}, but {excess.has}"
        if definition.written is not None:
            yield definition.written.problem(excess.path, what, excess.remedy)
        else:
            yield f'container "{excess.name}": resources.{excess.path[-1]}: {what} — {excess.remedy}'


def _excesses(definition: Definition, seat: _Seat) -> Iterator[_Excess]:
    def excess(key: str, amounts: Iterable[int | None], has: int, asked: str, there: str) -> _Excess:
        """Told at the first container with which it is too much."""
        total, asking = 0, [pair for pair in zip(seat.instances, amounts, strict=True) if pair[1]]
        while total <= has:
            one, amount = asking.pop(0)
            total += amount or 0
        path = ("containers", definition.containers.index(one.container), "resources", key)
        remedy = f'ask the batch system for more on each node, or lower "{key}" or the number of instances there'
        return _Excess(path, one.container.name, asked, there, remedy)

    wanted = [one.container.resources for one in seat.instances]
    gpus = sum(one.gpus or 0 for one in wanted)
    if seat.share is not None and gpus > len(seat.share.gpus or ()):
        silence = seat.share.silence or "its batch system does not tell"
        unknown = f"of none there it is known to be the job's ({silence})" if seat.share.gpus is None else ""
        asked, has = f"{gpus} GPU{'s' * (gpus > 1)}", len(seat.share.gpus or ())
        yield excess("gpus", [one.gpus for one in wanted], has, asked, unknown or f"the job has {has} there")
    nano_cpus, has_cpus = [round((one.cpus or 0) * _NANO) for one in wanted], seat.cpu_count
    if has_cpus is not None and (total := sum(nano_cpus)) > has_cpus * _NANO:
        asked = f"{total / _NANO:.12g} CPU{'s' * (total > _NANO)}"
        yield excess("cpus", nano_cpus, has_cpus * _NANO, asked, f"the job has {has_cpus} there")
    memory, most = sum(one.memory_bytes or 0 for one in wanted), seat.memory_bytes
    if most is not None and memory > most:
        amounts = [one.memory_bytes for one in wanted]
        yield excess(
            "memory", amounts, most, f"{format_size(memory)} of memory", f"the job has {format_size(most)} there"
        )
