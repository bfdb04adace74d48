"""What a lab is made of, before anything is started."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
import threading
from pathlib import Path

import pytest
from cluster import dgrid

from dgrid.errors import LabError, UsageError
from dgrid.lab.machine import machine_at
from dgrid.lab.node_image import image_tag
from dgrid.lab.parts import host_config, host_request, volumes
from dgrid.lab.shape import Batch, LabUser, NodeEngine, Shape, lab_users, shape_from_text, shape_to_text


def test_the_caller_is_the_labs_user():
    """An ordinary caller keeps name and numbers; root becomes alice."""
    assert lab_users("eve", 1000, 100)[0] == LabUser("eve", 1000, 100)
    assert lab_users("root", 0, 0)[0] == LabUser("alice", 2001, 2001)


@pytest.mark.parametrize("caller", [LabUser("bob", 1000, 1000), LabUser("eve", 2002, 2002)])
def test_the_second_user_is_somebody_else(caller):
    """Neither name nor number of the second user is the caller's."""
    own, other = lab_users(caller.name, caller.uid, caller.gid)
    assert own == caller
    assert (other.name, other.uid) != (own.name, own.uid)
    assert other.name != own.name
    assert other.uid != own.uid


def test_a_shape_is_kept_in_a_label():
    """What the label says makes the same shape again."""
    shape = Shape("x1", 3, Batch.NONE, NodeEngine.DOCKER, 2, True, lab_users("eve", 1000, 100))
    assert shape_from_text(shape_to_text(shape)) == shape


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a" * 32, "a/b", "ä"])
def test_names_that_cannot_be_names(name):
    """A name must do as a part of host and volume names."""
    with pytest.raises(UsageError, match="cannot be a lab's name"):
        Shape(name)


def test_a_lab_has_a_node_at_least():
    """Wrong numbers of nodes are refused by number."""
    with pytest.raises(UsageError, match="a lab has 1 to 64 nodes, not 0"):
        Shape("x", 0)


def test_podman_joins_no_swarm():
    """A swarm of engines that have none is refused."""
    done = dgrid("lab", "up", "--name", "never", "--engine", "podman", "--swarm")
    assert done.returncode == 2
    assert done.stderr == "dgrid: --swarm joins Docker engines; it does not go with --engine podman\n"


def test_batch_systems_of_the_base_image_share_it():
    """Torque, Slurm and none need no image of their own; what has its own packages does."""
    base = image_tag()
    assert [image_tag(batch) for batch in (Batch.TORQUE, Batch.SLURM, Batch.NONE)] == [base] * 3


def test_a_batch_system_whose_part_is_missing(tmp_path: Path):
    """An incomplete installation says which batch system it has no lab for, and which file is not there."""
    with pytest.raises(LabError, match=rf"no lab with sge: there is no {tmp_path}/sge/Dockerfile"):
        image_tag(Batch.SGE, tmp_path)


def test_other_sources_make_another_image(tmp_path: Path):
    """A file's content and whether it is executable are in the tag, of the base image and of what lies on top."""
    for path in ("start", "slurm/batch.sh", "oar/Dockerfile", "oar/sub/file"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    before = image_tag(Batch.TORQUE, tmp_path), image_tag(Batch.OAR, tmp_path)
    assert before[1].startswith("dgrid-lab-oar:")
    (tmp_path / "oar/sub/file").write_text("other")
    after = image_tag(Batch.TORQUE, tmp_path), image_tag(Batch.OAR, tmp_path)
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    (tmp_path / "slurm/batch.sh").chmod(0o755)
    last = image_tag(Batch.TORQUE, tmp_path), image_tag(Batch.OAR, tmp_path)
    assert (last[0] == after[0], last[1] == after[1]) == (False, False)


def test_each_node_keeps_its_engines_storage_to_itself():
    """/home and dgrid are one for all hosts, engine storage is each node's own."""
    shape = Shape("x", 2)
    mounts = [{target: volume for volume, target in host_request(shape, host).binds} for host in shape.hosts]
    front, first, second = mounts
    assert front["/home"] == first["/home"] == second["/home"]
    assert first["/opt/dgrid"] == second["/opt/dgrid"]
    assert first["/var/lib/docker"] != second["/var/lib/docker"]
    assert {*front.values(), *first.values(), *second.values()} == set(volumes(shape))


def test_the_machines_cgroups_are_shared_on_version_1_alone():
    """On cgroup v2 a node gets a namespace of its own and nothing of the machine's."""
    request = host_request(Shape("x"), "node1")
    old, new = host_config(request, "n", 1), host_config(request, "n", 2)
    assert "/sys/fs/cgroup:/sys/fs/cgroup:rw" in old["Binds"]
    assert not [bind for bind in new["Binds"] if bind.startswith("/sys")]
    assert new["CgroupnsMode"] == "private"


def test_a_machine_without_an_engine(tmp_path: Path):
    """The message names the socket and says what to install."""
    done = dgrid("lab", "list", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 125
    assert f"no container engine answers at {tmp_path}/none.sock (No such file or directory)" in done.stderr
    assert "apt-get install docker.io" in done.stderr


def test_an_engine_one_may_not_use(tmp_path: Path):
    """A refused user is told which group is missing."""
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0)
        assert "add you to the group docker" in _refusal(f"unix://{path}")


def test_an_engine_that_fails(tmp_path: Path):
    """What the engine answers is told in its own words, without a traceback."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path.endswith(("/version", "/info"))
            body = b'{"ApiVersion": "1.41", "CgroupVersion": "1"}' if known else b'{"message": "disk is full"}'
            self.send_response(200 if known else 500)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

        def address_string(self) -> str:
            return ""

    path = tmp_path / "engine.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = dgrid("lab", "list", DOCKER_HOST=f"unix://{path}")
        server.shutdown()
    assert (done.returncode, done.stderr) == (125, "dgrid: this machine's engine failed: disk is full\n")


def _refusal(base_url: str) -> str:
    """What somebody who is not root is told: root may open every socket, so a child of root becomes nobody."""
    import docker.errors  # noqa: F401  # as nobody, root's packages may be out of reach

    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            machine_at(base_url)
        except LabError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as told:
        return told.read()
