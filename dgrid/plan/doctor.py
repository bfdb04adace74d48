"""From what was found on the nodes to findings: what is in order, what to know, what would keep a run from working."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dgrid.errors import PlanError
from dgrid.plan.allocation import Allocation
from dgrid.plan.checkup import Examined, Finding, State, Subject
from dgrid.plan.definition import Definition
from dgrid.plan.doctor_engine import (
    engine_findings,
    init_findings,
    leftover_findings,
    store_findings,
    tool_findings,
    userns_findings,
)
from dgrid.plan.doctor_reach import account_findings, clock_findings, reach_findings, space_findings
from dgrid.plan.doctor_together import (
    cgroup_findings,
    image_findings,
    mixture_findings,
    port_findings,
    swarm_findings,
    tag_findings,
)
from dgrid.plan.facts import NodeFacts
from dgrid.plan.job_share import shared
from dgrid.plan.plan import Plan, make_plan

_PBS = ("PBS", "Torque")


def diagnose(subject: Subject, machines: tuple[Examined, ...]) -> tuple[Finding, ...]:
    """All findings, in the order of a run: the job, the nodes, their engines, what they have together.

    Equal findings of several nodes are one, with all their names.
    """
    pbs = subject.batch_system in _PBS
    found: list[Finding] = [
        *_job_findings(subject),
        *reach_findings(machines),
        *account_findings(machines, subject.submitter),
        *clock_findings(machines),
        *engine_findings(machines),
        *init_findings(machines),
        *userns_findings(machines),
        *cgroup_findings(machines, subject.job_id, subject.job_limits),
        *store_findings(machines),
        *space_findings(machines),
        *tool_findings(machines, pbs),
        *mixture_findings(machines),
        *swarm_findings(machines),
    ]
    if subject.definition is None:
        found += tag_findings(machines)
    else:
        found += _definition_findings(subject, subject.definition, machines)
    return merged((*found, *leftover_findings(machines)))


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Two that differ in their nodes alone become one: ``merged((of_n1, of_n2))``.

    They stay in the order in which each came first.
    """
    nodes: dict[tuple[str, State, str, str | None], dict[str, None]] = {}
    for one in findings:
        nodes.setdefault((one.check, one.state, one.what, one.remedy), {}).update(dict.fromkeys(one.nodes))
    return tuple(
        Finding(check, tuple(names), state, what, remedy) for (check, state, what, remedy), names in nodes.items()
    )


def has_problem(findings: Iterable[Finding]) -> bool:
    """Whether a run would not work."""
    return any(one.state is State.PROBLEM for one in findings)


def _job_findings(subject: Subject) -> Iterator[Finding]:
    count = f"{len(subject.nodes)} node{'' if len(subject.nodes) == 1 else 's'}"
    slots = subject.allocation.slots if subject.allocation else None
    size = count if slots is None else f"{count} with {slots} slots"
    if subject.batch_system is None:
        yield Finding("job", (), State.OK, f"in no job of a batch system; {size}: {subject.source}")
    else:
        name = f"job {subject.job_id}" if subject.job_id else "a job without an id"
        yield Finding("job", (), State.OK, f"{name} of {subject.batch_system}; {size}: {subject.source}")
    yield from _told_findings(subject.allocation)
    yield from _share_findings(subject.allocation)
    if subject.allocation is None:
        yield Finding(
            "job.here",
            (),
            State.NOTE,
            "this machine is none of the nodes, so `dgrid run` would not run from here",
            "run dgrid inside the job script, on one of the job's nodes",
        )
    if subject.refusal is not None:
        yield _with_remedy("user", State.PROBLEM, subject.refusal)


def _share_findings(allocation: Allocation | None) -> Iterator[Finding]:
    """What of each node is the job's."""
    for node in allocation.nodes if allocation else ():
        told = shared(node.share) if node.share else ""
        if told:
            yield Finding("job.share", (node.name,), State.OK, f"of the node the job has {told}")


def _told_findings(allocation: Allocation | None) -> Iterator[Finding]:
    """Which variables the job was read from, and whether they fit together."""
    told = allocation.told if allocation else None
    if told is None:
        return
    if told.taken:
        taken = "; ".join(f"{what}: {where}" for what, where in told.taken)
        yield Finding("job.variables", (), State.OK, f"taken from the batch system, {taken}")
    for text in told.remarks:
        yield Finding("job.variables", (), State.OK, text)
    for text in told.contradictions:
        remedy = "if that is wrong, give the nodes with --hostfile"
        yield Finding("job.variables", (), State.NOTE, text, remedy)


def _definition_findings(subject: Subject, definition: Definition, machines: tuple[Examined, ...]) -> Iterator[Finding]:
    plan = None
    if subject.allocation is not None:
        try:
            plan = make_plan(definition, subject.allocation, subject.submitter, "SESSION", _facts(machines))
        except PlanError as error:
            for reason in str(error).splitlines():
                yield _with_remedy("definition", State.PROBLEM, reason)
    if plan is not None:
        known = plan.allocation.told.contradictions if plan.allocation.told else ()
        for warning in (one for one in plan.warnings if one not in known):
            yield _with_remedy("definition", State.NOTE, warning)
        yield from port_findings(plan, machines)
    yield from image_findings(machines, _image_needs(subject, definition, plan), definition.pull)


def _image_needs(subject: Subject, definition: Definition, plan: Plan | None) -> dict[str, frozenset[str]]:
    """The nodes that need each image: those of its instances; without a plan any node might be one."""
    every = frozenset(node.name for node in subject.nodes)
    images = dict.fromkeys(container.image for container in definition.containers)
    if plan is None:
        return dict.fromkeys(images, every)
    return {
        image: frozenset(one.node.name for one in plan.instances if one.container.image == image) for image in images
    }


def _facts(machines: tuple[Examined, ...]) -> dict[str, NodeFacts]:
    return {
        name: NodeFacts(
            engine=one.engine.kind,
            rootless=one.engine.rootless,
            has_init=one.engine.has_init,
            address=f"{{{name}}}",
            swarm_managers=one.engine.swarm.managers,
            is_manager=one.engine.swarm.is_manager,
        )
        for one in machines
        if one.engine is not None
        for name in one.names
    }


def _with_remedy(check: str, state: State, text: str) -> Finding:
    """From a sentence of the plan's, which has its remedy behind a dash."""
    what, _, remedy = text.partition(" — ")
    return Finding(check, (), state, what, remedy or "`dgrid plan` shows what would run where")
