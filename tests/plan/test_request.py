"""The requests: exactly what the engines are sent."""

import json
from dataclasses import replace

from made import HEAD, define, nodes, planned, worker

from dgrid.plan.definition import Link, Mount, Resources
from dgrid.plan.docker_json import create_body, network_body
from dgrid.plan.facts import EngineKind, NodeFacts
from dgrid.plan.request import NetworkRequest

PODMAN = NodeFacts(EngineKind.PODMAN, rootless=True, has_init=False)


def bodies(*workers, head=HEAD, facts=None):
    return [create_body(one.request) for one in planned(define(*workers, head=head), nodes(9), facts).instances]


def test_the_body_of_a_worker():
    """Identity, hardening, names and labels: all of it, and nothing else."""
    made = worker("w", scale=2, command=("sleep", "9"), environment=(("A", "b=c"),), mounts=(Mount("/d", "/e", True),))
    body = bodies(made)[2]
    assert body == {
        "Image": "busybox",
        "Cmd": ["sleep", "9"],
        "User": "2001:2001",
        "Env": [
            "PBS_JOBNAME=try",
            "HOME=/home/alice",
            "USER=alice",
            "LOGNAME=alice",
            "A=b=c",
            "DGRID_JOB=12.server",
            "DGRID_SESSION=s1",
            "DGRID_HOSTFILE=/dgrid/hostfile.json",
            "DGRID_NAME=w-2",
            "DGRID_INDEX=2",
            "DGRID_NODE=node1",
        ],
        "Labels": {
            "io.dgrid.session": "s1",
            "io.dgrid.job": "12.server",
            "io.dgrid.user": "alice",
            "io.dgrid.container": "w",
            "io.dgrid.index": "2",
            "io.dgrid.node": "node1",
            "io.dgrid.nodes": "node1",
            "io.dgrid.role": "worker",
        },
        "Hostname": "w-2",
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "HostConfig": {
            "NetworkMode": "dgrid-s1",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "RestartPolicy": {"Name": "no"},
            "AutoRemove": False,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "16m", "max-file": "2"}},
            "Mounts": [{"Type": "bind", "Source": "/d", "Target": "/e", "ReadOnly": True}],
            "ExtraHosts": [],
            "GroupAdd": ["44"],
            "Init": True,
        },
        "NetworkingConfig": {"EndpointsConfig": {"dgrid-s1": {"Aliases": ["w-2", "w"]}}},
    }
    json.dumps(body)


def test_the_head_is_attached_to():
    """Its input stays open, and ends when dgrid's does."""
    head = bodies(head=replace(HEAD, tty=True, entrypoint=("sh", "-c"), work_dir="/w", stop_signal="SIGINT"))[0]
    keys = ("OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr", "Tty")
    assert all(head[key] is True for key in keys)
    assert (head["Entrypoint"], head["WorkingDir"], head["StopSignal"]) == (["sh", "-c"], "/w", "SIGINT")


def test_what_is_not_given_is_left_to_the_image():
    """A null would be taken by some engines as empty."""
    assert not {"Cmd", "Entrypoint", "WorkingDir", "StopSignal"} & set(bodies()[0])


def test_limits():
    """Bytes, billionths of a CPU; no swap beyond the memory; GPUs by number."""
    made = worker("w", resources=Resources(cpus=1.5, memory_bytes=2**30, gpus=2, shm_bytes=2**20))
    host = bodies(made)[1]["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"], host["ShmSize"]) == (1500000000, 2**30, 2**30, 2**20)
    assert host["DeviceRequests"] == [{"Count": 2, "Capabilities": [["gpu"]]}]
    assert not {"NanoCpus", "Memory", "MemorySwap", "ShmSize", "DeviceRequests"} & set(bodies()[0]["HostConfig"])


def test_rootless_podman_keeps_the_id_and_gets_no_group_numbers():
    """Its user namespace gives the numbers other meanings; and no init where it has none."""
    host = bodies(facts={"node1": PODMAN})[0]["HostConfig"]
    assert (host["UsernsMode"], host["GroupAdd"]) == ("keep-id", [])
    assert "Init" not in host
    assert "UsernsMode" not in bodies()[0]["HostConfig"]


def test_links_give_the_host_of_the_other_container():
    """Its name in the run's own network, its node in the nodes' own."""
    made = define(worker("db"), worker("w", links=(Link("db", "DB_HOST"),)))
    assert ("DB_HOST", "db") in planned(made, nodes(3)).instances[2].request.environment
    assert ("DB_HOST", "node2") in planned(made, nodes(1, 1, 1)).instances[2].request.environment


def test_which_variable_wins():
    """The definition over the job and over HOME; dgrid's own over all."""
    made = worker("w", environment=(("HOME", "/w"), ("PBS_JOBNAME", "mine"), ("DGRID_NAME", "x"), ("DGRID_JOB", "y")))
    found = planned(define(made), nodes(3)).instances[1].request.environment
    values = dict(found)
    assert len(values) == len(found)
    assert (values["HOME"], values["PBS_JOBNAME"]) == ("/w", "mine")
    assert (values["DGRID_NAME"], values["DGRID_JOB"]) == ("w", "12.server")


def test_the_body_of_a_network():
    """An overlay is attachable; a name is never taken twice."""
    request = NetworkRequest("n1", "dgrid-s1", "overlay", (("io.dgrid.session", "s1"),))
    assert network_body(request) == {
        "Name": "dgrid-s1",
        "Driver": "overlay",
        "CheckDuplicate": True,
        "Labels": {"io.dgrid.session": "s1"},
        "Attachable": True,
    }
    assert "Attachable" not in network_body(replace(request, driver="bridge"))
