"""Real sshds, links and servers for the tests of nodes."""

import os

import pytest
from benches import Bench, docker_bench, podman_bench, podman_node
from loopback import openssh, ssh_client, sshd
from unix_servers import digest, echo, unix_server

from dgrid.nodes import link_command
from dgrid.nodes.link_local import LocalLink


@pytest.fixture(scope="session")
def shared_sshd(tmp_path_factory):
    """An sshd with its default limits, for all tests that leave it as it is."""
    with sshd(tmp_path_factory.mktemp("sshd"), MaxSessions=10) as server:
        yield server


@pytest.fixture
def own_sshd(tmp_path):
    """An sshd for this test alone: ``own_sshd.known_hosts`` and the like may be changed."""
    directory = tmp_path / "sshd"
    directory.mkdir()
    with sshd(directory) as server:
        yield server


@pytest.fixture
def use_ssh(tmp_path, monkeypatch):
    """``use_ssh(config)``: from now on ``ssh`` is the real client with that configuration as the user's."""

    def use(config):
        path = ssh_client(tmp_path, config)
        if str(path) not in os.environ["PATH"]:
            monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")

    return use


@pytest.fixture(params=["paramiko", "openssh", "command"])
def connect(request, use_ssh):
    """``connect(server)`` opens a link of each kind; all are closed at the end. The command is ssh's own."""
    links = []

    def open_link(server, timeout_s=10):
        if request.param == "openssh":
            use_ssh(server.config())
            links.append(openssh(timeout_s=timeout_s))
        elif request.param == "command":
            use_ssh(server.config())
            links.append(link_command.connect("node1", ("ssh", "-T", "-oBatchMode=yes"), timeout_s))
        else:
            links.append(server.paramiko(timeout_s=timeout_s))
        return links[-1]

    open_link.kind = request.param
    yield open_link
    for link in links:
        link.close()


@pytest.fixture
def echo_socket(tmp_path):
    """A unix socket that sends everything back."""
    with unix_server(tmp_path / "echo", echo) as path:
        yield str(path)


@pytest.fixture
def digest_socket(tmp_path):
    """A unix socket that answers with a sha256 once it was sent everything."""
    with unix_server(tmp_path / "digest", digest) as path:
        yield str(path)


@pytest.fixture(scope="session")
def podman_link(tmp_path_factory):
    """A link to a node with rootless Podman."""
    with podman_node(tmp_path_factory.mktemp("podman")) as link:
        yield link


@pytest.fixture(scope="session", params=["docker", "docker by paramiko", "docker by openssh", "podman"])
def whole_bench(request, shared_sshd, tmp_path_factory):
    """Each kind of engine and of link, for all tests; ENGINES leaves out links by which Docker is reached."""
    if request.param == "podman":
        bench = podman_bench(request.getfixturevalue("podman_link"))
    elif request.param == "docker by openssh":
        with pytest.MonkeyPatch.context() as patch:
            path = ssh_client(tmp_path_factory.mktemp("client"), shared_sshd.config())
            patch.setenv("PATH", f"{path}:{os.environ['PATH']}")
            with docker_bench(openssh()) as made:
                yield made
        return
    else:
        bench = docker_bench(LocalLink("node1") if request.param == "docker" else shared_sshd.paramiko())
    with bench as made:
        yield made


@pytest.fixture
def bench(whole_bench):
    """An engine with a label for this test alone; at the end, what carries it is removed."""
    own = Bench(whole_bench.engine, whole_bench.uid)
    yield own
    own.clean()
