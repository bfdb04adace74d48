"""What dgrid doctor says about engines: each finding's text and remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from examined import DOCKER, GIB, PODMAN, WELL, bad, machine, only

from dgrid.errors import EngineError, EngineTooOld, EngineUnreachable
from dgrid.plan.checkup import Leftover, State
from dgrid.plan.doctor_engine import (
    engine_findings,
    init_findings,
    leftover_findings,
    store_findings,
    tool_findings,
    userns_findings,
)
from dgrid.plan.escapes import known_escapes, parse_version

ROW_2025 = "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881"
LEAKY = "CVE-2024-21626 (Leaky Vessels)"


def test_an_engine_that_answers_is_told_with_its_version():
    """And whether it is rootless."""
    found = list(engine_findings((machine(1), machine(2, engine=PODMAN))))
    assert [(one.state, one.what) for one in found] == [
        (State.OK, "Docker 29.5.1 answers you"),
        (State.OK, "Podman 5.8.0 (rootless) answers you"),
    ]


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            EngineUnreachable("n", "cannot reach Docker at /run/docker.sock (permission denied). Are you in ..."),
            "ask the administrators to put you into the group docker there, or for rootless Podman",
        ),
        (
            EngineUnreachable("n", "found no container engine; podman is not installed there either"),
            "ask the administrators whether an engine is installed and runs there (`systemctl status docker`)",
        ),
        (
            EngineTooOld("n", "its podman is version 3.0.1; dgrid needs 4.3 or newer"),
            "ask the administrators for Docker 20.10 or Podman 4.3, or newer",
        ),
        (
            EngineError("n", "its Docker is rootless and cannot run containers as you; use rootless Podman"),
            "use rootless Podman: --engine podman",
        ),
        (
            EngineUnreachable("n", "sshd forbids opening sockets; its AllowStreamLocalForwarding must be yes (ask)"),
            "ask the administrators to set AllowStreamLocalForwarding yes in sshd_config there",
        ),
    ],
)
def test_an_engine_that_does_not_answer_is_a_problem_with_its_remedy(error, remedy):
    """Whatever the reason."""
    (found,) = engine_findings((machine(1, engine=None, engine_error=error),))
    assert (found.state, found.what, found.remedy) == (State.PROBLEM, error.what, remedy)


def test_podman_in_place_of_docker_is_noted():
    """A run works, with another engine than on the other nodes."""
    found = only(engine_findings((machine(1, engine=PODMAN, remark="Podman is used there: x"),)), "engine.choice")
    assert (found.state, found.what) == (State.NOTE, "Podman is used there: x")


@pytest.mark.parametrize(
    ("part", "version", "cves"),
    [
        ("runc", "1.0-rc6", ["CVE-2019-5736", ROW_2025, "CVE-2026-41579"]),
        ("runc", "1.0.0~rc93+ds1", [LEAKY, ROW_2025, "CVE-2026-41579"]),
        ("runc", "1.1.11", [LEAKY, ROW_2025, "CVE-2026-41579"]),
        ("runc", "1.1.12", [ROW_2025, "CVE-2026-41579"]),
        ("runc", "1.2.8", ["CVE-2026-41579"]),
        ("runc", "1.3.2", [ROW_2025, "CVE-2026-41579"]),
        ("runc", "1.3.6", []),
        ("runc", "1.4.0-rc.2", [ROW_2025, "CVE-2026-41579"]),
        ("runc", "1.4.0", ["CVE-2026-41579"]),
        ("runc", "1.5.1", []),
        ("crun", "1.26", ["CVE-2026-30892", "CVE-2026-47766"]),
        ("crun", "1.28", []),
        ("docker", "20.10.24+dfsg1", ["CVE-2024-41110", "CVE-2026-34040", "CVE-2026-41567"]),
        ("docker", "27.1.1", ["CVE-2026-34040", "CVE-2026-41567"]),
        ("docker", "29.5.1", []),
        ("runc", "unknown", []),
        ("conmon", "0.1", []),
    ],
)
def test_versions_with_known_holes_are_known(part, version, cves):
    """Branch by branch: a fix in one is none in another."""
    assert [row.cves for row in known_escapes(part, version, authorization=True)] == cves


def test_holes_of_authorization_plugins_count_only_with_one():
    """An engine without any has nothing to get past."""
    assert [row.cves for row in known_escapes("docker", "25.0.5", authorization=False)] == ["CVE-2026-41567"]


def test_candidates_come_before_their_version():
    """As distributions write them."""
    written = ("1.0-rc6", "1.0.0~rc93+ds1", "1.0.0", "1.1.15+ds1", "crun version 1.21")
    numbers = [parse_version(text) for text in written]
    assert None not in numbers and numbers == sorted(numbers)


def test_a_version_with_holes_is_noted_with_the_good_ones():
    """And that a distribution may have mended it without a new number."""
    engine = replace(DOCKER, parts=(("containerd", "1.7.24"), ("runc", "1.2.5")))
    found = only(engine_findings((machine(1, engine=engine),)), "engine.escapes")
    assert found.state is State.NOTE
    assert found.what.startswith("runc 1.2.5 has known security holes, as of 2026-")
    assert ROW_2025 in found.what
    assert found.remedy == (
        "ask the administrators for runc 1.3.6, 1.4.3, 1.5.0-rc3, or newer, unless the distribution has backported the "
        "fixes (the package's changelog tells)"
    )


def test_an_engine_without_init_is_noted():
    """With the program that it lacks."""
    found = only(engine_findings((machine(1, engine=replace(PODMAN, has_init=False)),)), "engine.init")
    assert found.state is State.NOTE and found.remedy == "ask the administrators to install catatonit"
    assert [one.nodes for one in init_findings((machine(1), machine(2)))] == [("node1", "node2")]


def test_rootless_on_the_old_cgroups_drops_limits():
    """Silently, which is why it is told."""
    found = only(engine_findings((machine(1, engine=replace(PODMAN, cgroup_version="1")),)), "engine.limits")
    assert found.what == 'rootless on cgroup v1: limits on CPU and memory ("resources") are silently dropped'


@pytest.mark.parametrize(("free", "state"), [(100 << 20, State.PROBLEM), (2 * GIB, State.NOTE), (9 * GIB, State.OK)])
def test_room_for_images_is_looked_at(free, state):
    """Where the engine stores them."""
    (found,) = store_findings((machine(1, engine=replace(DOCKER, free_bytes=free)),))
    assert found.state is state
    assert "in /var/lib/docker, where the engine stores images" in found.what


@pytest.mark.parametrize(
    ("login", "state", "what"),
    [
        (
            replace(WELL, subuids=65536, subgids=65536),
            State.OK,
            "subordinate ids for rootless Podman: 65536",
        ),
        (WELL, State.PROBLEM, "you have 0 subordinate uids and 0 gids; images need 65536 of each"),
        (
            replace(WELL, subuids=65536, subgids=1000),
            State.NOTE,
            "you have 65536 subordinate uids and 1000 gids; images need 65536 of each",
        ),
        (
            replace(WELL, user_namespaces=False),
            State.PROBLEM,
            "users cannot make user namespaces, which rootless Podman needs",
        ),
    ],
)
def test_rootless_podman_needs_ids(login, state, what):
    """Only where it is the engine."""
    (found,) = userns_findings((machine(1, login, PODMAN), machine(2)))
    assert (found.nodes, found.state, found.what) == (("node1",), state, what)


def test_ids_are_looked_at_where_no_engine_answers_but_podman_is_installed():
    """They may be the reason."""
    login = replace(WELL, tools=frozenset({"podman"}))
    error = EngineUnreachable("node1", "podman's service does not start: x")
    (found,) = userns_findings((machine(1, login, None, engine_error=error),))
    assert found.state is State.PROBLEM


def test_what_cleans_up_is_told():
    """And what lacks it."""
    bare = replace(WELL, tools=frozenset({"podman"}))  # Docker's engine is what it has
    found = list(tool_findings((machine(1), machine(2, bare)), pbs=False))
    assert [(one.state, one.what) for one in found] == [
        (State.OK, "to clean up with, should dgrid be killed: docker, perl"),
        (State.NOTE, "has nothing to clean up with, should dgrid be killed"),
    ]
    assert found[1].remedy == "ask the administrators for one of docker, curl, python3, perl there"


def test_in_a_job_of_pbs_its_own_commands_are_looked_for():
    """They let PBS see processes on the other nodes."""
    able = machine(2, attachers=("pbs_attach",))
    found = [one for one in tool_findings((machine(1), able), pbs=True) if one.check == "pbs"]
    assert [one.state for one in found] == [State.NOTE, State.OK]
    assert found[1].what == "pbs_attach can tell PBS of the job's processes"


def test_what_ended_runs_left_comes_with_the_command_that_removes_it():
    """By session, with the job it was of."""
    left = replace(DOCKER, leftovers=(Leftover("k3x9", "12.head", 2, 1),))
    (found,) = bad(leftover_findings((machine(1), machine(2, engine=left))))
    assert (found.nodes, found.state) == (("node2",), State.NOTE)
    assert found.what == "2 containers and 1 network of your session k3x9, job 12.head, which is not live there"
    assert found.remedy == "remove them there: dgrid reap --session k3x9"
