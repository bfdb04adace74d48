"""What dgrid doctor says of nodes together, and of a definition on them; how it says it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from examined import DOCKER, PODMAN, WELL, bad, machine, only, subject, unreached
from made import define, worker

from dgrid.errors import LinkError
from dgrid.plan.checkup import EngineFound, Finding, State, SwarmFound
from dgrid.plan.definition import NetworkMode, PullPolicy
from dgrid.plan.doctor import diagnose, has_problem, merged
from dgrid.plan.doctor_text import findings_data, findings_text
from dgrid.plan.doctor_together import cgroup_findings, mixture_findings, swarm_findings, tag_findings
from dgrid.plan.job_cgroup import Hierarchy, Level

A, B = "a" * 64, "b" * 64


def swarm(state: str = "active", manager: bool = False, managers: str = "m", **keys: object) -> EngineFound:
    return replace(DOCKER, swarm=SwarmFound(state, managers=frozenset(managers), is_manager=manager, **keys))


def test_engines_and_processors_that_differ_are_noted():
    """With which is where."""
    found = bad(mixture_findings((machine(1), machine(2, engine=replace(PODMAN, architecture="arm64")), machine(3))))
    assert [one.what for one in found] == [
        "engines differ: docker on node[1,3], podman on node2",
        "processors differ: amd64 on node[1,3], arm64 on node2",
    ]
    assert list(mixture_findings((machine(1), machine(2)))) == []


@pytest.mark.parametrize(
    ("driver", "path", "job", "state", "what", "remedy"),
    [
        (
            "cgroupfs",
            "/slurm/uid_1/job_2",
            "2",
            State.OK,
            "cgroup v1, driver cgroupfs: containers are in the job's cgroup /slurm/uid_1/job_2",
            None,
        ),
        (
            "systemd",
            "/slurm/uid_1/job_2",
            "2",
            State.NOTE,
            "cgroup v1, driver systemd: containers get the limits of the job's cgroup /slurm/uid_1/job_2: the engine's "
            "systemd cgroup driver takes only slices",
            "native.cgroupdriver=cgroupfs",
        ),
        (
            "cgroupfs",
            "/user.slice",
            "2",
            State.NOTE,
            "cgroup v1, driver cgroupfs: containers get no limits of the job's: your processes there are in "
            "/user.slice, which is no job's cgroup",
            'set "resources" in the definition',
        ),
        (
            "cgroupfs",
            "/user.slice",
            None,
            State.OK,
            "cgroup v1, driver cgroupfs: containers get no limits of the job's: your processes there are in "
            "/user.slice, which is no job's cgroup",
            None,
        ),
    ],
)
def test_what_containers_get_of_the_jobs_cgroup_is_told(driver, path, job, state, what, remedy):
    """As a run would decide it; outside a job there is nothing to get."""
    engine = replace(DOCKER, cgroup_driver=driver, cgroup_version="1")
    seen = (Hierarchy("memory", (Level(path, memory_bytes=1 << 30), Level("/"))),)
    (found,) = cgroup_findings((machine(1, engine=engine, cgroups=seen),), job)
    assert (found.state, found.what) == (state, what)
    assert remedy in (found.remedy or "") if remedy else found.remedy is None


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("copy", "containers get the limits of the job's cgroup, as the setting job_limits says"),
        ("none", "containers get no limits of the job's, as the setting job_limits says"),
    ],
)
def test_what_the_settings_say_of_the_jobs_limits_is_in_order(setting, what):
    """It was meant so."""
    engine = replace(DOCKER, cgroup_version="1")
    seen = (Hierarchy("memory", (Level("/slurm/uid_1/job_2", memory_bytes=1 << 30), Level("/"))),)
    (found,) = cgroup_findings((machine(1, engine=engine, cgroups=seen),), "2", setting)
    assert (found.state, found.what) == (State.OK, f"cgroup v1, driver cgroupfs: {what}")


def test_ids_of_containers_that_are_nodes_do_not_keep_findings_apart():
    """As on a cluster made of containers."""
    paths = [f"/docker/{letter * 64}" for letter in "ab"]
    seen = [(Hierarchy("memory", (Level(path), Level("/"))),) for path in paths]
    machines = tuple(machine(number, cgroups=one) for number, one in enumerate(seen, 1))
    (found,) = merged(cgroup_findings(machines, None))
    assert found.nodes == ("node1", "node2") and "/docker/..." in found.what


@pytest.mark.parametrize(
    ("first", "second", "state", "what"),
    [
        (DOCKER, DOCKER, State.OK, "in no Docker swarm: containers use the nodes' own network"),
        (swarm(manager=True), swarm(), State.OK, "in one Docker swarm: overlay networks are possible"),
        (
            swarm(manager=True),
            DOCKER,
            State.NOTE,
            "in no Docker swarm, unlike node1: no overlay network over all of them",
        ),
        (
            swarm(manager=True),
            swarm(manager=True, managers="o"),
            State.NOTE,
            "these nodes are in different Docker swarms: no overlay network over all of them",
        ),
        (
            swarm(),
            swarm(),
            State.NOTE,
            "in one Docker swarm, but none of these nodes is a manager, which alone can make overlay networks",
        ),
    ],
)
def test_swarms_are_compared(first, second, state, what):
    """One for all nodes, with a manager among them, or no overlay."""
    (found,) = swarm_findings((machine(1, engine=first), machine(2, engine=second)))
    assert (found.state, found.what) == (state, what)


def test_a_swarm_that_is_not_well_is_noted():
    """With its engine's own complaint, and the managers that do not answer."""
    sick, lonely = swarm("error", error="no quorum"), swarm(manager=True, unreachable=("node7", "node8"))
    found = list(swarm_findings((machine(1, engine=lonely), machine(2, engine=sick))))
    assert "its Docker swarm is error: no quorum" in [one.what for one in found]
    assert only(found, "swarm.managers").what == "managers of the swarm do not answer it: node[7-8]"


def test_one_machine_needs_no_swarm():
    """Its own bridge does."""
    assert list(swarm_findings((machine(1),))) == []


def test_a_name_for_different_images_is_noted():
    """Of all names that several nodes have."""
    one, other = replace(DOCKER, tags=(("app:1", A), ("x", A))), replace(DOCKER, tags=(("app:1", B), ("y", B)))
    (found,) = tag_findings((machine(1, engine=one), machine(2, engine=other), machine(3, engine=one)))
    assert (found.state, found.nodes) == (State.NOTE, ("node1", "node3", "node2"))
    assert found.what == "app:1 is not the same everywhere: aaaaaaaaaaaa on node[1,3], bbbbbbbbbbbb on node2"


def images(*ids: str | None, **keys: object) -> list[Finding]:
    """The findings of a definition whose image each node has with that id."""
    machines = tuple(
        machine(number, engine=replace(DOCKER, wanted=(("busybox", image_id),)))
        for number, image_id in enumerate(ids, 1)
    )
    definition = define(worker(scale=len(ids)), **keys)
    return [one for one in diagnose(subject(len(ids), definition), machines) if one.check == "images"]


def test_the_same_image_everywhere_is_well():
    """By its id."""
    (found,) = images(A, A)
    assert (found.state, found.what, found.nodes) == (State.OK, "busybox (aaaaaaaaaaaa) is there", ("node1", "node2"))


def test_different_images_of_one_name_are_a_problem():
    """A run refuses them."""
    (found,) = images(A, B)
    assert found.state is State.PROBLEM
    assert found.what == "busybox is not the same everywhere: aaaaaaaaaaaa on node1, bbbbbbbbbbbb on node2"
    assert found.remedy == (
        "bring this machine's to all: dgrid image spread busybox; or run with --allow-different-images"
    )


def test_different_images_are_a_note_where_all_nodes_fetch_them_anew():
    """They will be the same then."""
    (found,) = images(A, B, pull=PullPolicy.ALWAYS)
    assert found.state is State.NOTE


@pytest.mark.parametrize(
    ("ids", "pull", "state", "what"),
    [
        ((A, None), PullPolicy.MISSING, State.NOTE, "busybox is not there; a run fetches it from its registry"),
        ((A, None), PullPolicy.SPREAD, State.NOTE, "busybox is not there; a run fetches it from a node that has it"),
        ((A, None), PullPolicy.NEVER, State.PROBLEM, 'busybox is not there, and "pull" is "never"'),
        ((None, None), PullPolicy.SPREAD, State.PROBLEM, 'busybox is not there, and "pull" is "spread"'),
    ],
)
def test_an_image_that_is_missing_is_judged_by_the_pull_policy(ids, pull, state, what):
    """A note where a run would fetch it."""
    found = bad(images(*ids, pull=pull))
    assert [(one.state, one.what) for one in found] == [(state, what)]


def test_a_declared_port_that_is_taken_is_a_problem():
    """In the nodes' own network, on the nodes its instances go to."""
    busy = replace(WELL, listening=frozenset({5000}))
    definition = define(worker(ports=(5000, 5001)), network=NetworkMode.HOST)
    found = diagnose(subject(2, definition), (machine(1), machine(2, busy)))
    told = [(one.nodes, one.state, one.what) for one in found if one.check == "ports"]
    assert told[0] == (("node2",), State.PROBLEM, "port 5000, which worker declares, is taken there")
    assert told[1] == (("node2",), State.OK, "the declared ports are free")


def test_ports_of_a_private_network_are_not_looked_at():
    """Nothing else is in it."""
    busy = replace(WELL, listening=frozenset({5000}))
    found = diagnose(subject(1, define(worker(ports=(5000,)))), (machine(1, busy),))
    assert [one for one in found if one.check == "ports"] == []


def test_a_definition_that_does_not_fit_is_a_problem_with_its_remedy():
    """As `dgrid plan` would say it."""
    found = diagnose(subject(1, define(worker(scale=9))), (machine(1),))
    finding = only(found, "definition")
    assert finding.state is State.PROBLEM and "--oversubscribe" in (finding.remedy or "") + finding.what


def test_a_definition_on_nodes_without_this_machine_is_looked_at_on_all():
    """There is no plan then; every node might get every image."""
    engine = replace(DOCKER, wanted=(("busybox", A),))
    found = diagnose(subject(2, define(), allocation=None), (machine(2, engine=engine), machine(3, engine=engine)))
    assert only(found, "job.here").state is State.NOTE
    assert only(found, "images").nodes == ("node2",)


def test_the_job_is_told_first():
    """With what the batch system said."""
    first = diagnose(subject(2), (machine(1), machine(2)))[0]
    assert first.what == "job 12.server of PBS; 2 nodes with 4 slots: node file x"
    outside = diagnose(subject(1, batch_system=None, job_id=None), (machine(1),))[0]
    assert outside.what == "in no job of a batch system; 1 node with 2 slots: node file x"


def test_a_user_who_may_not_run_is_a_problem():
    """With the refusal's own remedy."""
    found = only(diagnose(subject(1, refusal="dgrid does not run as root — log in"), (machine(1),)), "user")
    assert (found.state, found.what, found.remedy) == (State.PROBLEM, "dgrid does not run as root", "log in")


def test_equal_findings_are_one():
    """In the order in which they first came."""
    one, two = Finding("a", ("n1",), State.OK, "x"), Finding("a", ("n2",), State.OK, "x")
    other = Finding("b", ("n1",), State.OK, "x")
    assert merged((one, other, two)) == (Finding("a", ("n1", "n2"), State.OK, "x"), other)


def test_a_node_that_is_not_reached_hides_no_other():
    """All else is found of the others."""
    found = diagnose(subject(3), (machine(1), unreached(2, LinkError("node2", "no answer")), machine(3)))
    assert has_problem(found)
    assert [one.nodes for one in found if one.check == "engine"] == [("node1", "node3")]
    assert all(one.remedy for one in bad(found))


def test_notes_are_no_problem():
    """A run would work."""
    able = replace(WELL, subuids=65536, subgids=65536)
    found = diagnose(subject(2), (machine(1), machine(2, able, PODMAN)))
    assert bad(found) and not has_problem(found)


def test_findings_as_text():
    """A short line where all is well, the remedy below what is not, and the sum."""
    findings = (
        Finding("ssh", ("node1", "node2"), State.OK, "reached"),
        Finding("job.here", (), State.NOTE, "not here", "go there"),
        Finding("engine", ("node3",), State.PROBLEM, "no engine", "ask"),
    )
    assert findings_text(subject(3), findings, only_bad=False) == (
        "ok       node[1-2]: reached\n"
        "note     not here\n"
        "           -> go there\n"
        "problem  node3: no engine\n"
        "           -> ask\n"
        "\n"
        "3 nodes: 1 problem, 1 note\n"
    )
    assert findings_text(subject(2), findings[:1], only_bad=True) == "2 nodes: all is well\n"


def test_findings_as_data():
    """Names unfolded, the worst state, and a number for the structure."""
    data = findings_data(subject(2), (Finding("ssh", ("node1", "node2"), State.NOTE, "what", "do"),))
    assert data == {
        "format": 1,
        "state": "note",
        "source": "node file x",
        "batch_system": "PBS",
        "job": "12.server",
        "nodes": ["node1", "node2"],
        "findings": [
            {"check": "ssh", "state": "note", "nodes": ["node1", "node2"], "what": "what", "remedy": "do"},
        ],
    }
