"""What a lab is made of, before anything is started."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import dgrid

from dgrid.cli.lab import lab
from dgrid.errors import DgridError, LabError, UsageError
from dgrid.lab.machine import Machine, machine_at
from dgrid.lab.node_image import image_tag
from dgrid.lab.parts import host_config, host_request, volumes
from dgrid.lab.room import available_bytes, check_memory, check_room
from dgrid.lab.shape import (
    Batch,
    Bind,
    LabUser,
    NodeEngine,
    Port,
    Shape,
    lab_users,
    parse_bind,
    parse_port,
    shape_from_text,
    shape_to_text,
)
from dgrid.lab.ssh_access import config_text


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
    people, binds, ports = lab_users("eve", 1000, 100), (Bind("/d", "/data", True),), (Port(8080, 80),)
    shape = Shape("x1", 3, Batch.NONE, NodeEngine.DOCKER, 2, True, people, binds, ports, (1, 3, 7))
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


@pytest.mark.parametrize("slots", [0, -3])
def test_a_node_has_a_slot_at_least(slots):
    """Fewer are refused on the command line, and wherever else a shape is made."""
    with pytest.raises(UsageError, match=f"a node has a slot at least, not {slots}"):
        Shape("x", slots=slots)
    done = dgrid("lab", "up", "--name", "never", "--slots", str(slots), DOCKER_HOST="unix:///none")
    assert done.returncode == 2
    assert f"Invalid value for '--slots': {slots} is not in the range" in done.stderr


def test_nodes_keep_their_names_when_others_go():
    """The numbers of nodes need not be one after the other."""
    assert Shape("x", 2, numbers=(2, 5)).hosts == ("front", "node2", "node5")


def test_volumes():
    """A relative directory begins where the command is given; :ro is read only."""
    assert parse_bind("data:/data:ro", "/home/eve") == Bind("/home/eve/data", "/data", True)
    assert parse_bind("/a b:/data", "/home/eve") == Bind("/a b", "/data", False)
    binds = (Bind("/home/eve/data", "/data", True),)
    config = host_config(host_request(Shape("x", binds=binds), "node1"), "n", 2)
    assert "/home/eve/data:/data:ro" in config["Binds"]


@pytest.mark.parametrize("text", ["", "a", "a:b", ":/a", "a:/b:rx", "a:/b:ro:ro"])
def test_what_is_no_volume(text):
    """It is said how to write one."""
    with pytest.raises(UsageError, match="is no volume: write HOST:CONTAINER"):
        parse_bind(text, "/")


@pytest.mark.parametrize("target", ["/home", "/home/", "/", "/x/../home"])
def test_a_volume_in_place_of_what_the_lab_needs(target):
    """It would not start."""
    with pytest.raises(UsageError, match="which the lab needs for itself"):
        parse_bind(f"a:{target}", "/")


def test_ports_are_the_frontends():
    """They are published by the frontend, on this machine's own address alone."""
    shape = Shape("x", ports=(parse_port("8080:80"),))
    bindings = [host_config(host_request(shape, host), "n", 2)["PortBindings"] for host in shape.hosts[:2]]
    assert bindings == [{"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}, {}]


def test_two_ports_of_this_machine_for_one_of_the_frontends():
    """Both are published."""
    config = host_config(host_request(Shape("x", ports=(Port(8080, 80), Port(8081, 80))), "front"), "n", 2)
    assert [one["HostPort"] for one in config["PortBindings"]["80/tcp"]] == ["8080", "8081"]


def test_one_port_of_this_machine_for_two_of_the_frontends():
    """It is refused before anything is started."""
    done = dgrid(
        "lab", "up", "--name", "never", "-p", "8080:80", "-p", "8080:81", "-p", "8081:80", DOCKER_HOST="unix:///none"
    )
    assert (done.returncode, done.stderr) == (
        2,
        "dgrid: port 8080 of this machine is published more than once (for the frontend's 80, 81); "
        "choose another one for each\n",
    )


def test_a_port_that_only_root_may_have():
    """dockerd is root: what this user may not do says nothing."""
    here = Machine("unix:///run/docker.sock", "1.41", 1)
    shape = Shape("x", 1, Batch.NONE, NodeEngine.PODMAN, ports=(Port(7, 80),))
    assert _as_nobody(lambda: check_room(here, shape)) == "nothing"


@pytest.mark.parametrize("text", ["", "80", "80:", "0:80", "80:70000", "a:b"])
def test_what_are_no_ports(text):
    """It is said how to write them."""
    with pytest.raises(UsageError, match="is no pair of ports"):
        parse_port(text)


def test_a_port_that_is_taken():
    """It is said before anything is started, with another way."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = dgrid("lab", "up", "--name", "never", "--publish", f"{port}:80")
    assert done.returncode == 125
    assert f"port {port} of this machine cannot be had (Address already in use)" in done.stderr
    assert "--publish OTHER:80" in done.stderr
    assert "starting" not in done.stderr


def test_a_directory_that_is_not_there(tmp_path: Path):
    """A volume of nothing is a mistake."""
    done = dgrid("lab", "up", "--name", "never", "-v", f"{tmp_path}/none:/data")
    assert (done.returncode, done.stderr) == (
        2,
        f"dgrid: there is no {tmp_path}/none on this machine, which was to be a volume at /data\n",
    )


OUT_OF_REACH = pytest.mark.parametrize(
    ("option", "told"),
    [
        (("-v", "PLACE:/y"), "cannot look at PLACE on this machine, which was to be a volume at /y (WHY); choose what"),
        (("--data", "PLACE"), "cannot have PLACE for --data (WHY); choose a directory in which you may write"),
    ],
)


@OUT_OF_REACH
def test_a_directory_of_which_nothing_may_be_known(tmp_path: Path, option: tuple[str, str], told: str):
    """It is behind one that is closed to the user: which, why, and what to do."""
    (tmp_path / "closed").mkdir(mode=0)
    place = f"{tmp_path}/closed/x"
    argv = ["up", "--name", "never", *(word.replace("PLACE", place) for word in option)]
    refusal = _as_nobody(lambda: lab.main(argv, standalone_mode=False))
    assert refusal.startswith(told.replace("PLACE", place).replace("WHY", "Permission denied"))


@OUT_OF_REACH
def test_a_directory_that_cannot_be(tmp_path: Path, option: tuple[str, str], told: str):
    """Its name is too long, which is said."""
    place = f"{tmp_path}/{'x' * 300}"
    done = dgrid("lab", "up", "--name", "never", *(word.replace("PLACE", place) for word in option))
    assert done.returncode == 2
    assert done.stderr.startswith("dgrid: " + told.replace("PLACE", place).replace("WHY", "File name too long"))


def test_memory_for_as_many_nodes():
    """What is needed, what there is, and what would fit are said in numbers."""
    check_memory(Shape("x", 10), 1300 << 20)
    with pytest.raises(LabError) as caught:
        check_memory(Shape("x", 10), 1000 << 20)
    assert str(caught.value) == (
        "10 nodes need about 1225 MiB of memory before any job (110 MiB a node, 125 MiB the frontend), "
        "and this machine has 1000 MiB free; try --nodes 7, or end what else runs here"
    )
    with pytest.raises(LabError) as caught:
        check_memory(Shape("x", 3), 250 << 20, has_front=True)
    assert str(caught.value) == (
        "3 nodes need about 330 MiB of memory before any job (110 MiB a node), "
        "and this machine has 250 MiB free; try dgrid lab add --name x 2, or end what else runs here"
    )
    with pytest.raises(LabError, match="has 200 MiB free; end what else runs here"):
        check_memory(Shape("x", 1), 200 << 20)
    assert available_bytes("MemTotal: 9 kB\nMemAvailable:    2 kB\n") == 2048


def test_a_configuration_for_ssh(tmp_path: Path):
    """ssh itself reads it so: address, user and key of each host, by two names."""
    directory = tmp_path / "with space"
    text = config_text("dev", "alice", (("front", "172.18.0.2"), ("node1", "172.18.0.3")), directory)
    (tmp_path / "config").write_text(text)
    for name in ("node1", "node1.dev"):
        done = subprocess.run(["ssh", "-F", tmp_path / "config", "-G", name], capture_output=True, text=True)
        settings = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        assert (settings["hostname"], settings["user"]) == ("172.18.0.3", "alice")
        assert settings["identityfile"] == f"{directory}/id_ed25519"
        assert settings["stricthostkeychecking"] in ("true", "yes")


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


@pytest.mark.parametrize(
    ("base_url", "reason"),
    [
        ("ssh://127.0.0.1:1", "Unable to connect to port 1 on 127.0.0.1"),
        ("ssh://no-such-host.invalid", "[Errno -"),
        ("tcp://127.0.0.1:a", "Port could not be cast to integer value as 'a'"),
    ],
)
def test_an_engine_elsewhere_that_cannot_be_reached(base_url: str, reason: str):
    """The message names it, why, and where it was named."""
    done = dgrid("lab", "list", DOCKER_HOST=base_url)
    assert done.returncode == 125
    assert done.stderr.startswith(f"dgrid: the container engine at {base_url} does not answer (")
    assert reason in done.stderr
    assert "; see that an engine listens there and that $DOCKER_HOST is right" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_engine_one_may_not_use(tmp_path: Path):
    """A refused user is told which group is missing."""
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0)
        assert "add you to the group docker" in _as_nobody(lambda: machine_at(f"unix://{path}"))


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


def _as_nobody(action: Callable[[], object]) -> str:
    """What somebody who is not root is told: root may open everything, so a child of root becomes nobody."""
    import docker.errors  # noqa: F401  # as nobody, root's packages may be out of reach
    import paramiko  # noqa: F401  # likewise

    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            action()
            os.write(write, b"nothing")
        except DgridError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as told:
        return told.read()
