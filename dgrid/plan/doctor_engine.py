"""Findings about each node's engine: whether it answers, how old it is, what it can do, what it has kept."""

from __future__ import annotations

from collections.abc import Iterator

from dgrid.errors import EngineTooOld, NodeError
from dgrid.plan.checkup import EngineFound, Examined, Finding, Leftover, LoginFound, State, names_of
from dgrid.plan.doctor_reach import room_findings
from dgrid.plan.escapes import AS_OF, known_escapes
from dgrid.plan.facts import EngineKind

_GIB = 1 << 30
_STORE_NOTE, _STORE_PROBLEM = 5 * _GIB, _GIB // 4
LEASH_TOOLS = ("docker", "podman", "curl", "python3", "perl")
_COMMANDS = frozenset(kind.value for kind in EngineKind)  # each is of use with its own engine only
_SUBUIDS = 65536  # what images of the usual distributions have owners for


def engine_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """Which engine answers the user, and what is to be said of its version and its abilities."""
    for one in machines:
        if one.engine_error is not None:
            yield Finding("engine", one.names, State.PROBLEM, one.engine_error.what, _remedy(one.engine_error))
        if one.engine is not None:
            yield Finding("engine", one.names, State.OK, f"{_called(one.engine)} answers you")
            yield from _escapes(one, one.engine)
            yield from _abilities(one, one.engine)
        if one.remark is not None:
            yield Finding(
                "engine.choice",
                one.names,
                State.NOTE,
                one.remark,
                "ask the administrators to see to Docker there; or, if Podman is meant, say --engine podman everywhere",
            )


def _called(engine: EngineFound) -> str:
    name = "Podman" if engine.kind is EngineKind.PODMAN else "Docker"
    return f"{name} {engine.version}{' (rootless)' if engine.rootless else ''}"


def _remedy(error: NodeError) -> str:
    what = error.what
    if "socket was named" in what:
        return "name the socket that an engine listens at, or none: dgrid then looks in the usual places"
    if isinstance(error, EngineTooOld):
        return "ask the administrators for Docker 20.10 or Podman 4.3, or newer"
    if "permission denied" in what.lower() or "group docker" in what:
        return "ask the administrators to put you into the group docker there, or for rootless Podman"
    if "AllowStreamLocalForwarding must" in what:
        return "ask the administrators to set AllowStreamLocalForwarding yes in sshd_config there"
    if "rootless and cannot" in what:
        return "use rootless Podman: --engine podman"
    return "ask the administrators whether an engine is installed and runs there (`systemctl status docker`)"


def _escapes(one: Examined, engine: EngineFound) -> Iterator[Finding]:
    parts = list(engine.parts)
    if engine.kind is EngineKind.DOCKER:
        parts.insert(0, ("docker", engine.version))
    for part, version in parts:
        rows = tuple(known_escapes(part, version, bool(engine.authorization)))
        if rows:
            listed = "; ".join(f"{row.cves}: {row.what}" for row in rows)
            yield Finding(
                "engine.escapes",
                one.names,
                State.NOTE,
                f"{part} {version} has known security holes, as of {AS_OF}: {listed}",
                f"ask the administrators for {part} {_good(rows[-1].fixed)}, unless the distribution has backported "
                "the fixes (the package's changelog tells)",
            )


def _good(fixed: tuple[str, ...]) -> str:
    return f"{', '.join(fixed)}, or newer"


def _abilities(one: Examined, engine: EngineFound) -> Iterator[Finding]:
    if not engine.has_init:
        program = "catatonit" if engine.kind is EngineKind.PODMAN else "docker-init (tini)"
        yield Finding(
            "engine.init",
            one.names,
            State.NOTE,
            "has no init process to put into containers: orphaned processes stay there as zombies",
            f"ask the administrators to install {program}",
        )
    if engine.rootless and engine.cgroup_version == "1":
        yield Finding(
            "engine.limits",
            one.names,
            State.NOTE,
            'rootless on cgroup v1: limits on CPU and memory ("resources") are silently dropped',
            "ask the administrators for cgroup v2 (the kernel's systemd.unified_cgroup_hierarchy=1)",
        )


def init_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """The engines that have an init process, in one line."""
    if good := tuple(one for one in machines if one.engine and one.engine.has_init):
        yield Finding("engine.init", names_of(good), State.OK, "has an init process for containers")


def store_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """Whether there is room where engines store images and containers."""
    by_directory: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    for one in machines:
        if one.engine is not None and one.engine.free_bytes is not None:
            by_directory.setdefault(one.engine.directory, []).append((one.names, one.engine.free_bytes))
    for directory, found in by_directory.items():
        yield from room_findings(
            "disk",
            f"free in {directory}, where the engine stores images",
            found,
            _STORE_NOTE,
            _STORE_PROBLEM,
            "remove images there that nobody needs (`docker image ls`, `dgrid image rm`), or ask the administrators",
        )


def userns_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """Whether rootless Podman can map the user's ids, where it is what a run would use."""
    for one in machines:
        login = one.login
        if login is None or not _needs_ids(one, login):
            continue
        if not login.user_namespaces:
            yield Finding(
                "podman.ids",
                one.names,
                State.PROBLEM,
                "users cannot make user namespaces, which rootless Podman needs",
                "ask the administrators to allow them (sysctl user.max_user_namespaces)",
            )
        elif min(login.subuids, login.subgids) < _SUBUIDS:
            yield Finding(
                "podman.ids",
                one.names,
                State.PROBLEM if min(login.subuids, login.subgids) == 0 else State.NOTE,
                f"you have {login.subuids} subordinate uids and {login.subgids} gids; images need {_SUBUIDS} of each",
                "ask the administrators for `usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST`",
            )
        else:
            yield Finding("podman.ids", one.names, State.OK, f"subordinate ids for rootless Podman: {login.subuids}")


def _needs_ids(one: Examined, login: LoginFound) -> bool:
    if one.engine is not None:
        return one.engine.kind is EngineKind.PODMAN and one.engine.rootless
    return "podman" in login.tools


def tool_findings(machines: tuple[Examined, ...], pbs: bool) -> Iterator[Finding]:
    """Whether a node has what cleans up should dgrid be killed, and what tells PBS of processes."""
    for one in machines:
        if one.login is None:
            continue
        own = {kind.value for kind in EngineKind if one.engine is None or one.engine.kind is kind}
        fit = [tool for tool in LEASH_TOOLS if tool in own or tool not in _COMMANDS]
        usable = [tool for tool in fit if tool in one.login.tools]
        if usable:
            what = f"to clean up with, should dgrid be killed: {', '.join(usable)}"
            yield Finding("tools", one.names, State.OK, what)
        else:
            yield Finding(
                "tools",
                one.names,
                State.NOTE,
                "has nothing to clean up with, should dgrid be killed",
                f"ask the administrators for one of {', '.join(fit)} there",
            )
        if pbs:
            yield _attach_finding(one)


def _attach_finding(one: Examined) -> Finding:
    if one.attachers:
        what = f"{' and '.join(one.attachers)} can tell PBS of the job's processes"
        return Finding("pbs", one.names, State.OK, what)
    return Finding(
        "pbs",
        one.names,
        State.NOTE,
        "neither pbs_attach nor pbs_track is there: PBS does not see the job's processes on other nodes",
        "ask the administrators to install PBS's commands on the nodes",
    )


def leftover_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """What runs that have ended left of the user's, on each node."""
    clean = []
    for one in machines:
        if one.engine is None:
            continue
        if not one.engine.leftovers:
            clean.append(one)
        for left in one.engine.leftovers:
            yield Finding(
                "leftovers",
                one.names,
                State.NOTE,
                f"{_left(left)} of your session {left.session}{f', job {left.job}' if left.job else ''}, "
                "which is not live there",
                f"remove them there: dgrid reap --session {left.session}",
            )
    if clean:
        yield Finding("leftovers", names_of(tuple(clean)), State.OK, "nothing is left of ended runs of yours")


def _left(left: Leftover) -> str:
    counts = ((left.containers, "container"), (left.networks, "network"))
    return " and ".join(f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in counts if number)
