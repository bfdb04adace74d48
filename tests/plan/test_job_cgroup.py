"""The job's cgroup: recognised by its path, and used as parent or as a source of limits."""

from dataclasses import replace

import pytest
from made import define, nodes, planned, worker

from dgrid.plan.definition import Resources
from dgrid.plan.docker_json import create_body
from dgrid.plan.facts import NodeFacts
from dgrid.plan.job_cgroup import EngineCgroups, Hierarchy, Level, decide
from dgrid.plan.job_limits import JobLimits, within

GB = 1024**3
NO_LIMIT = 9223372036854771712  # what memory.limit_in_bytes says where there is none
V1 = EngineCgroups("cgroupfs", "1", rootless=False)
V2 = EngineCgroups("cgroupfs", "2", rootless=False)
SYSTEMD = EngineCgroups("systemd", "2", rootless=False)

SLURM_V1 = "/slurm/uid_2001/job_42"
SLURM_V2 = "/system.slice/slurmstepd.scope/job_42"
PBS_V1 = "/pbs_jobs.service/jobid/42.head"
PBS_V2 = "/pbs_jobs.service/jobs/42.head"
OAR = "/oar.slice/oar-u2001.slice/oar-u2001-j42.slice"


def way(name, path, job=None, **of_the_job):
    """The cgroups from ``path`` up to the root; the job's has these limits, the root all CPUs of eight."""
    parts = path.strip("/").split("/")
    paths = ["/" + "/".join(parts[:length]) for length in range(len(parts), 0, -1)] if path != "/" else []
    levels = [Level(one, **of_the_job) if one == job else Level(one) for one in paths]
    return Hierarchy(name, (*levels, Level("/", NO_LIMIT, "0-7")))


def v1(job, below="", **limits):
    """A job in both hierarchies of cgroup v1."""
    return tuple(way(name, job + below, job, **limits) for name in ("memory", "cpuset"))


def v2(job, below="", **limits):
    return (way("unified", job + below, job, **limits),)


@pytest.mark.parametrize(
    ("found", "engine", "parent"),
    [
        (v1(SLURM_V1, "/step_batch", cpus="0-3"), V1, SLURM_V1),
        (v1("/docker/4f2e" + SLURM_V1, "/step_batch/task_0"), V1, "/docker/4f2e" + SLURM_V1),
        (v1("/slurm_node1/uid_2001/job_42", "/step_extern"), V1, "/slurm_node1/uid_2001/job_42"),
        (v1(PBS_V1), V1, PBS_V1),
        (v1("/torque/42.head"), V1, "/torque/42.head"),
        (v1("/oar/alice_42"), V1, "/oar/alice_42"),
        (v2(SLURM_V2, "/step_batch/user/task_0"), V2, SLURM_V2),
        (v2("/system.slice/node1_slurmstepd.scope/job_42"), V2, "/system.slice/node1_slurmstepd.scope/job_42"),
        (v2(OAR, "/oarexec.scope"), V2, OAR),
        (v2(OAR, "/oarexec.scope"), SYSTEMD, "oar-u2001-j42.slice"),
        (v2("/htcondor/condor_execute_slot1_1@n1"), V2, "/htcondor/condor_execute_slot1_1@n1"),
    ],
)
def test_the_jobs_cgroup_is_the_parent(found, engine, parent):
    """The job's, not that of a step in it; for the systemd driver the slice alone."""
    decided = decide(found, engine, "42.head")
    assert decided.parent == parent
    assert decided.cpuset is None
    assert decided.reason.startswith("containers are in the job's cgroup /")


@pytest.mark.parametrize(
    ("found", "engine", "why"),
    [
        (v2(SLURM_V2, "/step_0/user", cpus="0-3", memory_bytes=GB), SYSTEMD, "takes only slices"),
        (v2(PBS_V2, cpus="0-3", memory_bytes=GB, has_processes=True), V2, "has processes of its own"),
        (v1(PBS_V1, cpus="0-3", memory_bytes=GB), V2, "another version of cgroups"),
        (v1(PBS_V1, cpus="0-3", memory_bytes=GB), EngineCgroups("none", "1", False), 'cgroup driver is "none"'),
        (
            (way("memory", PBS_V1, PBS_V1, memory_bytes=GB), *v2("/"), way("cpuset", "/pbs", "/pbs")),
            V1,
            "not the same path",
        ),
    ],
)
def test_where_it_cannot_be_the_parent_its_limits_are_copied(found, engine, why):
    """And the reason is told in one line."""
    decided = decide(found, engine, "42")
    assert decided.parent is None
    assert decided.memory_bytes == GB
    assert decided.cpuset == (None if "same path" in why else "0-3")
    assert why in decided.reason
    assert "\n" not in decided.reason


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/user.slice/user-2001.slice/session-3.scope",
        "/user.slice/user-2001.slice/user@2001.service/app.slice/run-u5.scope",
        "/system.slice/ssh.service",
        "/system.slice",
        "/system.slice/slurmd.service",
        "/init.scope",
        "/docker/8529b673f6af50e7",
        "/system.slice/docker-8529b673f6af50e7.scope",
        "/machine.slice/libpod-8529b673f6af50e7.scope",
        "/kubepods.slice/kubepods-burstable.slice/x",
        "/../../user.slice",
    ],
)
@pytest.mark.parametrize("engine", [V1, V2, SYSTEMD])
def test_log_ins_daemons_and_containers_are_no_jobs(path, engine):
    """Whatever limits those have, containers do not get them."""
    for found in (v1(path, cpus="0", memory_bytes=GB), v2(path, cpus="0", memory_bytes=GB)):
        decided = decide(found, engine, "42")
        assert replace(decided, reason="") == JobLimits()
        assert "no job's cgroup" in decided.reason


def test_an_unknown_cgroup_counts_in_a_job_only():
    """A system that dgrid does not know confines a job as it likes: the limits hold, the cgroup is left alone."""
    found = v1("/lsf/cluster1/job.42.7", cpus="0-1", memory_bytes=GB)
    decided = decide(found, V1, "42")
    assert (decided.parent, decided.cpuset, decided.memory_bytes) == (None, "0-1", GB)
    assert replace(decide(found, V1, None), reason="") == JobLimits()


def test_another_jobs_cgroup_is_left_alone():
    """pam_slurm_adopt puts a log-in into the newest of the user's jobs there, if it cannot tell."""
    decided = decide(v2(SLURM_V2, "/step_extern/user"), V2, "43")
    assert replace(decided, reason="") == JobLimits()
    assert "another job" in decided.reason


def test_outside_a_job_the_cgroup_says_which_it_is():
    """No variables came along: the processes are in the job all the same."""
    assert decide(v2(SLURM_V2, "/step_extern/user"), V2, None).parent == SLURM_V2


def test_rootless_engines_are_left_alone():
    """They may not write there; their limits are dropped in silence (v1) or keep containers from starting (v2)."""
    decided = decide(v1(SLURM_V1, cpus="0", memory_bytes=GB), EngineCgroups("cgroupfs", "1", rootless=True), "42")
    assert replace(decided, reason="") == JobLimits()
    assert "rootless" in decided.reason


def test_a_node_without_cgroups():
    """Nothing is found, nothing done."""
    assert replace(decide((), V1, "42"), reason="") == JobLimits()


def test_the_tightest_limit_on_the_way_up_counts():
    """A job within a partition's memory; a job with all CPUs has no limit of them."""
    memory = Hierarchy(
        "memory",
        (
            Level(f"{SLURM_V1}/step_batch", GB),
            Level(SLURM_V1, 4 * GB),
            Level("/slurm/uid_2001", 3 * GB),
            Level("/slurm", NO_LIMIT),
            Level("/", NO_LIMIT),
        ),
    )
    cpuset = way("cpuset", SLURM_V1, SLURM_V1, cpus="0-7")
    decided = decide((memory, cpuset), replace(V1, driver="systemd"), "42")
    assert (decided.memory_bytes, decided.cpus) == (3 * GB, None)


@pytest.mark.parametrize(
    ("own", "limits", "memory_bytes", "cpus"),
    [
        (Resources(), JobLimits(None, "0-1", GB), GB, None),
        (Resources(memory_bytes=2 * GB, cpus=4), JobLimits(None, "0-1", GB), GB, 2),
        (Resources(memory_bytes=GB // 2, cpus=1.5), JobLimits(None, "0-1", GB), GB // 2, 1.5),
        (Resources(), JobLimits("/slurm/x", "0-1", GB), None, None),
        (Resources(memory_bytes=2 * GB, cpus=4), JobLimits("/slurm/x", "0,2", GB), GB, 2),
        (Resources(memory_bytes=2 * GB, cpus=4), JobLimits(), 2 * GB, 4),
    ],
)
def test_the_smaller_limit_wins(own, limits, memory_bytes, cpus):
    """An instance's own never exceed the job's; in the job's cgroup none is added."""
    found = within(own, limits)
    assert (found.memory_bytes, found.cpus) == (memory_bytes, cpus)


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        (JobLimits("/slurm/x", "0-1", GB), {"CgroupParent": "/slurm/x"}),
        (JobLimits(None, "0-1", GB), {"CpusetCpus": "0-1", "Memory": GB, "MemorySwap": GB}),
        (JobLimits(), {}),
    ],
)
def test_what_the_engine_is_sent(limits, wanted):
    """The parent, or the limits; nothing where there are none."""
    keys = {"CgroupParent", "CpusetCpus", "Memory", "MemorySwap", "NanoCpus"}
    facts = {"node1": NodeFacts(job_limits=limits)}
    plan = planned(define(worker()), nodes(2), facts)
    for one in plan.instances:
        config = create_body(one.request)["HostConfig"]
        assert {key: value for key, value in config.items() if key in keys} == wanted
