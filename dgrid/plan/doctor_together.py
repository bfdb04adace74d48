"""Findings that come of comparing nodes, and of what a definition wants of them: swarm, images, ports, cgroups."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from dgrid.plan.checkup import EngineFound, Examined, Finding, State, names_of
from dgrid.plan.definition import NetworkMode, PullPolicy
from dgrid.plan.facts import EngineKind
from dgrid.plan.folding import fold
from dgrid.plan.job_cgroup import EngineCgroups, decide
from dgrid.plan.job_limits import JobLimits
from dgrid.plan.plan import Plan

_ID = 12

Images = Mapping[str, frozenset[str]]
"""Which nodes need which images."""


def mixture_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """Whether all nodes have the same kind of engine and processor."""
    engines = [(one.names, one.engine) for one in machines if one.engine is not None]
    yield from _mixed(
        "engine.mixed",
        "engines differ",
        [(names, engine.kind.value) for names, engine in engines],
        "say --engine docker or --engine podman to have the same everywhere; images must be in each",
    )
    yield from _mixed(
        "architecture",
        "processors differ",
        [(names, engine.architecture) for names, engine in engines],
        "use images made for all of them, or ask the batch system for nodes of one kind",
    )


def _mixed(check: str, what: str, found: list[tuple[tuple[str, ...], str]], remedy: str) -> Iterator[Finding]:
    groups: dict[str, list[str]] = {}
    for names, value in found:
        groups.setdefault(value, []).extend(names)
    if len(groups) > 1:
        listed = ", ".join(f"{value} on {fold(names)}" for value, names in groups.items())
        every = tuple(name for names, _ in found for name in names)
        yield Finding(check, every, State.NOTE, f"{what}: {listed}", remedy)


def cgroup_findings(machines: tuple[Examined, ...], job_id: str | None, setting: str = "auto") -> Iterator[Finding]:
    """How the engine makes cgroups, and whether containers go into the job's, get its limits, or neither.

    ``setting`` is the site's or the user's word on it ("auto", "copy", "none").
    """
    for one in machines:
        if one.engine is None:
            continue
        engine = EngineCgroups(one.engine.cgroup_driver, one.engine.cgroup_version, one.engine.rootless)
        limits = _wanted(decide(one.cgroups, engine, job_id), setting)
        # A node that is a container itself has its id in there: no two nodes would have the same finding.
        reason = re.sub(r"[0-9a-f]{32,}", "...", limits.reason)
        what = f"cgroup v{engine.version or '?'}, driver {engine.driver or '?'}: {reason}"
        if limits.parent is not None or job_id is None or setting != "auto":
            yield Finding("cgroup", one.names, State.OK, what)
        else:
            yield Finding("cgroup", one.names, State.NOTE, what, _cgroup_remedy(limits, engine))


def _wanted(decided: JobLimits, setting: str) -> JobLimits:
    """What a run would make of it, by the setting ``job_limits``."""
    if setting == "none":
        return JobLimits(reason="containers get no limits of the job's, as the setting job_limits says")
    if setting == "copy" and decided.parent is not None:
        why = "containers get the limits of the job's cgroup, as the setting job_limits says"
        return replace(decided.without_parent(), reason=why)
    return decided


def _cgroup_remedy(limits: JobLimits, engine: EngineCgroups) -> str:
    if limits.memory_bytes is None and limits.cpus is None:
        return (
            'set "resources" in the definition; the administrators can have the batch system make cgroups for jobs, '
            "and put log-ins by ssh into them (Slurm: pam_slurm_adopt, OAR: pam_oar_adopt)"
        )
    if engine.driver == "systemd":
        return (
            "nothing for a run; for the batch system to count containers, ask the administrators for "
            '"exec-opts": ["native.cgroupdriver=cgroupfs"] in /etc/docker/daemon.json'
        )
    return "nothing for a run; the batch system does not count the containers"


def swarm_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """Whether the nodes share one swarm whose managers answer: needed for overlay networks only."""
    engines = tuple((one, one.engine) for one in machines if one.engine and one.engine.kind is EngineKind.DOCKER)
    if len(machines) < 2 or not engines:
        return
    yield from _sick_swarms(engines)
    inside = tuple(one for one, engine in engines if engine.swarm.state == "active")
    outside = tuple(one for one, engine in engines if engine.swarm.state == "inactive")
    every = names_of(tuple(one for one, _ in engines))
    if not inside:
        what = "in no Docker swarm: containers use the nodes' own network"
        yield Finding("swarm", every, State.OK, what)
        return
    if outside:
        yield Finding(
            "swarm",
            names_of(outside),
            State.NOTE,
            f"in no Docker swarm, unlike {fold(names_of(inside))}: no overlay network over all of them",
            'ask the administrators to join them ("docker swarm join"), or use "network": "host"',
        )
        return
    active = [engine.swarm for _, engine in engines if engine.swarm.state == "active"]
    if not frozenset.intersection(*(swarm.managers for swarm in active)):
        yield Finding(
            "swarm",
            every,
            State.NOTE,
            "these nodes are in different Docker swarms: no overlay network over all of them",
            'ask the administrators for one swarm ("docker swarm leave", then "join"), or use "network": "host"',
        )
    elif not any(swarm.is_manager for swarm in active):
        yield Finding(
            "swarm",
            every,
            State.NOTE,
            "in one Docker swarm, but none of these nodes is a manager, which alone can make overlay networks",
            'ask the administrators to promote one ("docker node promote"), or use "network": "host"',
        )
    else:
        yield Finding("swarm", every, State.OK, "in one Docker swarm: overlay networks are possible")


def _sick_swarms(engines: tuple[tuple[Examined, EngineFound], ...]) -> Iterator[Finding]:
    for one, engine in engines:
        swarm = engine.swarm
        if swarm.state not in ("active", "inactive") or swarm.error:
            what = f"its Docker swarm is {swarm.state}{f': {swarm.error}' if swarm.error else ''}"
            remedy = 'ask the administrators to look at "docker info" there, or use "network": "host"'
            yield Finding("swarm", one.names, State.NOTE, what, remedy)
        if swarm.unreachable:
            yield Finding(
                "swarm.managers",
                one.names,
                State.NOTE,
                f"managers of the swarm do not answer it: {fold(swarm.unreachable)}",
                'ask the administrators to look at "docker node ls" there',
            )


def port_findings(plan: Plan, machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """Whether the ports that containers declare are free, where they use the nodes' own network."""
    if plan.network_mode is not NetworkMode.HOST:
        return
    listening = {name: one.login.listening for one in machines if one.login is not None for name in one.names}
    free: dict[str, None] = {}
    for instance in plan.instances:
        for port in instance.container.ports:
            if instance.node.name not in listening:
                continue
            if port in listening[instance.node.name]:
                yield Finding(
                    "ports",
                    (instance.node.name,),
                    State.PROBLEM,
                    f"port {port}, which {instance.name} declares, is taken there",
                    f"see by whom (`ss -ltnp 'sport = :{port}'` there), give the container another port, or use "
                    '"network": "overlay"',
                )
            else:
                free[instance.node.name] = None
    if free:
        yield Finding("ports", tuple(free), State.OK, "the declared ports are free")


def image_findings(machines: tuple[Examined, ...], needs: Images, pull: PullPolicy) -> Iterator[Finding]:
    """Whether the images of a definition are on the nodes that need them, and the same on all."""
    for image, nodes in needs.items():
        there: dict[str | None, list[str]] = {}
        for one in machines:
            wanted = dict(one.engine.wanted) if one.engine else {}
            if image in wanted and (names := [name for name in one.names if name in nodes]):
                there.setdefault(wanted[image], []).extend(names)
        missing = tuple(there.pop(None, ()))
        if missing:
            yield _missing(image, missing, pull, anywhere=bool(there))
        if len(there) > 1:
            state = State.NOTE if pull is PullPolicy.ALWAYS else State.PROBLEM
            yield _different("images", image, there, state)
        elif there:
            ((image_id, names),) = there.items()
            yield Finding("images", tuple(names), State.OK, f"{image} ({str(image_id)[:_ID]}) is there")


def _missing(image: str, nodes: tuple[str, ...], pull: PullPolicy, anywhere: bool) -> Finding:
    if pull is PullPolicy.NEVER or (pull is PullPolicy.SPREAD and not anywhere):
        remedy = (
            f"bring it there: dgrid image spread {image}"
            if anywhere
            else f'build it (`dgrid image build`) or fetch it there, or set "pull": "missing"; no node has {image}'
        )
        return Finding("images", nodes, State.PROBLEM, f'{image} is not there, and "pull" is "{pull.value}"', remedy)
    how = "from a node that has it" if pull is PullPolicy.SPREAD else "from its registry"
    remedy = f"nothing, if that works; before the job: {'dgrid image spread' if anywhere else 'docker pull'} {image}"
    return Finding("images", nodes, State.NOTE, f"{image} is not there; a run fetches it {how}", remedy)


def tag_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """Names that stand for different images on different nodes, of all that more than one node has."""
    found: dict[str, dict[str | None, list[str]]] = {}
    for one in machines:
        for tag, image_id in one.engine.tags if one.engine else ():
            found.setdefault(tag, {}).setdefault(image_id, []).extend(one.names)
    for tag, there in sorted(found.items()):
        if len(there) > 1:
            yield _different("images.names", tag, there, State.NOTE)


def _different(check: str, image: str, there: Mapping[str | None, list[str]], state: State) -> Finding:
    listed = ", ".join(f"{str(image_id)[:_ID]} on {fold(names)}" for image_id, names in there.items())
    return Finding(
        check,
        tuple(name for names in there.values() for name in names),
        state,
        f"{image} is not the same everywhere: {listed}",
        f"bring this machine's to all: dgrid image spread {image}; or run with --allow-different-images",
    )
