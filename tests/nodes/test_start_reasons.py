"""What a head that cannot be started ends the program with, by the words of real engines."""

import time
from types import SimpleNamespace

import pytest

from dgrid.config import Settings
from dgrid.errors import EngineError, EngineTimeout, JobCgroupRefused, LinkError, ManyNodesError, StartError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.machine import Machine
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.start import create_all, refuses_job_cgroup, start
from dgrid.plan.allocation import Allocation, Node, Submitter
from dgrid.plan.definition import Container, Definition
from dgrid.plan.docker_json import create_body
from dgrid.plan.facts import EngineKind, NodeFacts
from dgrid.plan.job_limits import NOTHING, JobLimits
from dgrid.plan.plan import make_plan

NODE = Node("node1", 2, True)


class EngineWithoutParents:
    """Refuses containers with a cgroup parent, as dockerd with the systemd driver does; keeps what it created."""

    node = "node1"
    refusal = 'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"'

    def __init__(self):
        self.created = []
        self.info = SimpleNamespace(kind=EngineKind.DOCKER)

    def create_network(self, request):
        pass

    def create(self, request):
        if request.job_limits.parent is not None:
            raise EngineError("node1", f"cannot create {request.name}: {self.refusal}", 400)
        self.created.append(request)
        return f"id{len(self.created)}"

    def read_file(self, container_id, path):
        return None

    def place(self, container_id, files, user):
        pass


class RefusingEngine:
    """Refuses every start with the same error."""

    def __init__(self, error):
        self.error = error

    def start(self, container_id):
        raise self.error


def small_plan(job_limits=NOTHING):
    """A head and a worker."""
    alice = Submitter("alice", 2001, 2001, (), "/home/alice")
    definition = Definition((Container("head", "busybox", interactive=True), Container("worker", "busybox")))
    facts = {NODE.name: NodeFacts(job_limits=job_limits)}
    return make_plan(definition, Allocation((NODE,), "node file", "PBS", "1", ()), alice, "s1", facts, False)


def start_on(engine, name, job_limits=NOTHING):
    """Start the instance of that name of a small plan."""
    (instance,) = (one for one in small_plan(job_limits).instances if one.name == name)
    machine = Machine((NODE,), SimpleNamespace(node="node1"), engine)
    start(instance, "0123456789ab", Cluster((machine,), Settings()))


# As measured, and (20.10 with runc 1.0, 26) as read in their sources.
DOCKER_20 = "OCI runtime create failed: container_linux.go:380: starting container process caused: "
DOCKER_24 = (
    "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
)
MISSING = (
    (DOCKER_20 + 'exec: "nope": executable file not found in $PATH: unknown', '"nope": executable file not found in $'),
    (DOCKER_24 + 'exec: "nope": executable file not found in $PATH: unknown', '"nope": executable file not found in $'),
    (DOCKER_24 + 'exec: "/nope": stat /nope: no such file or directory: unknown', '"/nope": stat /nope: no such file'),
    (
        "runc: runc create failed: unable to start container process: "
        'exec: "nope": executable file not found in $PATH: '
        "OCI runtime attempted to invoke a command that was not found",
        '"nope": executable file not found in $PATH',
    ),
    (
        "crun: executable file `nope` not found in $PATH: No such file or directory: "
        "OCI runtime attempted to invoke a command that was not found",
        "crun: executable file `nope` not found",
    ),
)
FORBIDDEN = (
    (DOCKER_20 + 'exec: "/etc/passwd": permission denied: unknown', '"/etc/passwd": permission denied'),
    (DOCKER_24 + 'exec: "/etc/passwd": permission denied: unknown', '"/etc/passwd": permission denied'),
    (DOCKER_24 + 'exec: "/tmp": is a directory: unknown', '"/tmp": is a directory'),
    ("crun: open executable: Permission denied: OCI permission denied", "crun: open executable: Permission denied"),
    ('runc: runc create failed: unable to start container process: exec: "/x": exec format error', '"/x": exec format'),
)
OTHER = (
    ("network dgrid-s1 not found", "network dgrid-s1 not found"),
    ("driver failed programming external connectivity: address already in use", "driver failed programming"),
    (DOCKER_24 + 'error during container init: error mounting "/a" to rootfs: not a directory: unknown', "failed to"),
    ("failed to set up container networking: network 4f not found", "failed to set up container networking"),
)


@pytest.mark.parametrize(
    ("text", "said", "code"), [(*one, 127) for one in MISSING] + [(*one, 126) for one in FORBIDDEN]
)
def test_a_command_that_is_missing_or_forbidden(text, said, code):
    """127 and 126, as `docker run`; the reason without the chain of functions before it."""
    with pytest.raises(StartError) as caught:
        start_on(RefusingEngine(EngineError("node1", f"cannot start the container: {text}", 400)), "head")
    assert caught.value.exit_code == code
    assert str(caught.value).startswith(f"node1: cannot start head: {said}")


@pytest.mark.parametrize(("text", "said"), OTHER)
def test_all_else_is_no_fault_of_the_command(text, said):
    """125; also when something other than the command is not found."""
    with pytest.raises(StartError) as caught:
        start_on(RefusingEngine(EngineError("node1", f"cannot start the container: {text}", 500)), "head")
    assert caught.value.exit_code == 125
    assert str(caught.value).startswith(f"node1: cannot start head: {said}")


def test_an_engine_that_does_not_answer_is_no_fault_of_the_command():
    """125."""
    with pytest.raises(StartError) as caught:
        start_on(RefusingEngine(EngineTimeout("node1", "the engine did not answer in time")), "head")
    assert caught.value.exit_code == 125


def test_a_workers_command_does_not_lend_its_code_to_the_run():
    """126 and 127 are the head's."""
    with pytest.raises(StartError) as caught:
        start_on(RefusingEngine(EngineError("node1", f"cannot start the container: {MISSING[0][0]}", 400)), "worker")
    assert caught.value.exit_code == 125


CGROUP = EngineError("node1", f"cannot start the container: {DOCKER_24}unable to apply cgroup configuration: busy", 500)


def test_a_refused_job_cgroup_is_told_apart_while_the_head_has_not_run():
    """The head cannot start in the job's cgroup: the run may begin again without. Not for a worker's second start."""
    with pytest.raises(JobCgroupRefused) as caught:
        start_on(RefusingEngine(CGROUP), "head", JobLimits("/slurm/uid_1/job_1"))
    assert refuses_job_cgroup(caught.value)
    assert refuses_job_cgroup(ManyNodesError((LinkError("node2", "gone"), caught.value)))
    for engine, name, limits in (
        (RefusingEngine(CGROUP), "worker", JobLimits("/slurm/uid_1/job_1")),
        (RefusingEngine(CGROUP), "head", JobLimits(None, "0-1")),
        (RefusingEngine(EngineTimeout("node1", "the engine did not answer")), "head", JobLimits("/slurm/uid_1/job_1")),
    ):
        with pytest.raises(StartError) as other:
            start_on(engine, name, limits)
        assert not refuses_job_cgroup(other.value)


def test_an_engine_that_creates_nothing_in_the_jobs_cgroup_gets_the_limits():
    """Each container is created with them, and the node's remark is told once."""
    engine = EngineWithoutParents()
    cluster = Cluster((Machine((NODE,), SimpleNamespace(node="node1"), engine),), Settings())
    create_all(
        small_plan(JobLimits("/slurm/uid_1/job_1", "0-1", 1 << 30)),
        cluster,
        StopSignals(),
        {("node1", "busybox"): "1" * 64},
    )
    bodies = [create_body(request)["HostConfig"] for request in engine.created]
    sent = [(body["CpusetCpus"], body["Memory"], "CgroupParent" in body) for body in bodies]
    assert sent == [("0-1", 1 << 30, False)] * 2
    assert cluster.job.untold() == (
        "node1: the engine does not put containers into the job's cgroup, so each of them gets its limits: "
        f"{engine.refusal}",
    )


class SlowToNetwork(EngineWithoutParents):
    """Takes a moment to make a network, or cannot; keeps in which order what was made."""

    def __init__(self, kind, refusal=None):
        super().__init__()
        self.info = SimpleNamespace(kind=kind)
        self.refused = refusal
        self.order = []

    def create_network(self, request):
        time.sleep(0.2)
        if self.refused:
            raise self.refused
        self.order.append("network")

    def create(self, request):
        self.order.append("container")
        return f"id{len(self.order)}"


def create_on(engine):
    """Create the containers of a small plan."""
    cluster = Cluster((Machine((NODE,), SimpleNamespace(node="node1"), engine),), Settings())
    return create_all(small_plan(), cluster, StopSignals(), {("node1", "busybox"): "1" * 64})


def test_only_podman_waits_for_the_network_before_it_creates():
    """It refuses a container of a network that is not there; Docker looks for it at the start."""
    docker, podman = SlowToNetwork(EngineKind.DOCKER), SlowToNetwork(EngineKind.PODMAN)
    assert set(create_on(docker)) == set(create_on(podman)) == {"head", "worker"}
    assert docker.order == ["container", "container", "network"]
    assert podman.order == ["network", "container", "container"]


@pytest.mark.parametrize("kind", list(EngineKind))
def test_a_network_that_cannot_be_made_is_the_error(kind):
    """Whatever became of the containers."""
    refusal = EngineError("node1", "cannot make the network: no address left", 500)
    with pytest.raises(EngineError) as caught:
        create_on(SlowToNetwork(kind, refusal))
    assert caught.value is refusal
