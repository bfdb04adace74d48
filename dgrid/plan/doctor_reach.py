"""Findings about getting to the nodes: ssh, the login shell, the account, the clock, the machine itself."""

from __future__ import annotations

from collections.abc import Iterator

from dgrid.errors import HostKeyError, LinkDropped, LoginError, NodeError
from dgrid.plan.allocation import Submitter
from dgrid.plan.checkup import Examined, Finding, LoginFound, State, names_of

CLOCK_S = 2.0
"""Clocks further apart than this are remarked on."""

_GIB = 1 << 30
_TMP_NOTE, _TMP_PROBLEM = _GIB // 4, 1 << 20
_MEMORY_NOTE = _GIB // 2

_MACHINE_REMEDY = "is the node up, and does sshd run there? Ask the administrators, or leave it out of the job"


def reach_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """Which nodes are reached, by which way, and whether their login shells run commands and keep quiet."""
    for one in machines:
        if one.unreached is not None:
            what, remedy = _reason(one.unreached)
            yield Finding("ssh", one.names, State.PROBLEM, what, remedy)
        else:
            yield Finding("ssh", one.names, State.OK, f"reached {one.way}")
        if one.login is not None and one.login.chatter:
            yield Finding(
                "shell",
                one.names,
                State.NOTE,
                f"the login shell prints before it runs a command: {one.login.chatter!r}",
                "have your start-up files (~/.bashrc) print in interactive shells only: scp and others fail with it",
            )


def account_findings(machines: tuple[Examined, ...], submitter: Submitter) -> Iterator[Finding]:
    """Whether the user is the same everywhere, by number: containers get numbers."""
    same = []
    for one, login in _logins(machines):
        if login.uid != submitter.uid:
            yield Finding(
                "account",
                one.names,
                State.PROBLEM,
                f"{submitter.name} has uid {login.uid} there, but {submitter.uid} here",
                "ask the administrators to give your account the same uid on all nodes",
            )
        elif (gid := login.gid) != submitter.gid:
            yield Finding(
                "account",
                one.names,
                State.NOTE,
                f"{submitter.name}'s first group is {gid} there, but {submitter.gid} here, which containers will have",
                "ask the administrators to give your account the same groups on all nodes",
            )
        else:
            same.append(one)
        yield from _group_findings(one, login, submitter)
    if same:
        others = [gid for gid in dict.fromkeys(submitter.groups) if gid != submitter.gid]
        groups = f" with the groups {_listed(others, submitter)}" if others else ""
        what = f"{submitter.name} is {submitter.uid}:{submitter.gid}{groups}, as here"
        yield Finding("account", names_of(tuple(same)), State.OK, what)


def _group_findings(one: Examined, login: LoginFound, submitter: Submitter) -> Iterator[Finding]:
    here = dict.fromkeys((submitter.gid, *submitter.groups))
    there = dict(login.groups)
    lacking = [gid for gid in here if gid not in there]
    if lacking:
        yield Finding(
            "groups",
            one.names,
            State.NOTE,
            f"you are in {_listed(lacking, submitter)} here, but not there; containers get the groups you have here",
            "if you joined the group today, log in anew; else ask the administrators for the same groups everywhere",
        )


def _listed(groups: list[int], submitter: Submitter) -> str:
    names = dict(submitter.group_names)
    return ", ".join(f"{names[gid]} ({gid})" if gid in names else str(gid) for gid in groups)


def clock_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """Whether the clocks agree with this machine's; the time that asking took is allowed for."""
    good = []
    for one, login in _logins(machines):
        if abs(login.clock_ahead_s) - login.clock_within_s <= CLOCK_S:
            good.append(one)
            continue
        side = "ahead of" if login.clock_ahead_s > 0 else "behind"
        yield Finding(
            "clock",
            one.names,
            State.NOTE,
            f"its clock is {abs(login.clock_ahead_s):.1f} s {side} this machine's",
            "ask the administrators for time synchronisation (chrony, ntpd): ssh certificates, Kerberos and the order "
            "of lines in logs suffer",
        )
    if good:
        yield Finding("clock", names_of(tuple(good)), State.OK, f"clocks are within {CLOCK_S:g} s of this machine's")


def space_findings(machines: tuple[Examined, ...]) -> Iterator[Finding]:
    """Whether /tmp and memory have room."""
    logins = tuple(_logins(machines))
    tmp = [(one.names, login.tmp_free_bytes) for one, login in logins if login.tmp_free_bytes is not None]
    yield from room_findings(
        "tmp", "free in /tmp", tmp, _TMP_NOTE, _TMP_PROBLEM, "remove what you do not need from /tmp there"
    )
    memory = [(one.names, login.memory_free_bytes) for one, login in logins if login.memory_free_bytes is not None]
    yield from room_findings(
        "memory",
        "of memory free",
        memory,
        _MEMORY_NOTE,
        0,
        "see who uses it (`ps aux --sort -rss | head`), or leave it out",
    )


def room_findings(
    check: str, where: str, found: list[tuple[tuple[str, ...], int]], note: int, problem: int, remedy: str
) -> Iterator[Finding]:
    """A note where less than ``note`` bytes are free, a problem below ``problem``; the others in one line."""
    for names, free in found:
        if free < note:
            state = State.PROBLEM if free < problem else State.NOTE
            yield Finding(check, names, state, f"only {size(free)} {where}", remedy)
    enough = [(names, free) for names, free in found if free >= note]
    if enough:
        least = min(free for _, free in enough)
        names = tuple(name for group, _ in enough for name in group)
        yield Finding(check, names, State.OK, f"at least {size(least)} {where}")


def size(number: int) -> str:
    """``size(3 << 30) == "3.0 GiB"``."""
    return f"{number / _GIB:.1f} GiB" if number >= _GIB else f"{number >> 20} MiB"


def _reason(error: NodeError) -> tuple[str, str]:
    """What happened and what to do; ssh's own messages end in what to do."""
    what = error.what
    if isinstance(error, HostKeyError | LoginError):
        head, _, remedy = what.rpartition("; ")
        if head:
            return head, remedy
        return what, "ask the administrators how users log in from node to node"
    if "does not resolve" in what or "Could not resolve" in what:
        return what, "is the name right? Else ask the administrators to have it resolved (DNS, /etc/hosts)"
    if "login shell" in what:
        return what, "ask the administrators whether users may log in to nodes; `ssh NODE true` must work"
    if "--link" in what:
        return what, "leave --link out, or use --link openssh"
    if isinstance(error, LinkDropped):
        return what, "try again; if it stays, ask the administrators to look at sshd's log there (MaxStartups?)"
    return what, _MACHINE_REMEDY


def _logins(machines: tuple[Examined, ...]) -> Iterator[tuple[Examined, LoginFound]]:
    return ((one, one.login) for one in machines if one.login is not None)
