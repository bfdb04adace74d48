"""Real engines to try dgrid's calls on: this machine's Docker by each kind of link, and rootless Podman on a node."""

import contextlib
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dgrid.lab.down import down
from dgrid.lab.execute import Command, capture
from dgrid.lab.load import load
from dgrid.lab.machine import DEFAULT_ENGINE, machine_at
from dgrid.lab.node_image import BASE, ensure_base
from dgrid.lab.shape import FRONT, Batch, NodeEngine, Shape, lab_users
from dgrid.lab.up import up
from dgrid.nodes import docker_api, link_paramiko
from dgrid.nodes.choose_engine import choose_engine
from dgrid.nodes.docker_api import DockerApi
from dgrid.nodes.known_hosts import KnownHosts
from dgrid.nodes.link import Link
from dgrid.nodes.probe import probe
from dgrid.nodes.ssh_keys import PrivateKeys
from dgrid.nodes.ssh_settings import SshSettings
from dgrid.plan.definition import Mount, Resources
from dgrid.plan.request import CreateRequest, FileToPlace

SOCKET = DEFAULT_ENGINE.removeprefix("unix://")
LABEL = "io.dgrid.session"


@dataclass
class Bench:
    """An engine with a label of its own: what is made here carries it, and is removed by it."""

    engine: DockerApi
    uid: int
    session: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")

    @property
    def labels(self) -> dict[str, str]:
        """What all containers and networks here carry."""
        return {LABEL: self.session}

    def request(self, *command: str, **changes: object) -> CreateRequest:
        """A head without a terminal in the node's own network, unless changed."""
        request = CreateRequest(
            name=f"dgrid-{uuid.uuid4().hex[:8]}-{self.session}",
            image=BASE,
            command=command,
            entrypoint=None,
            environment=(("HOME", "/home/tester"), ("GREETING", "it's $HOME")),
            labels=((LABEL, self.session),),
            mounts=(),
            files=(
                FileToPlace("/home/tester", None, 0o700),
                FileToPlace("/dgrid/hostfile", b"node1\n", 0o644),
            ),
            user=f"{self.uid}:{self.uid}",
            groups=(),
            hostname=None,
            network="host",
            aliases=(),
            extra_hosts=(),
            work_dir=None,
            resources=Resources(),
            is_head=True,
            tty=False,
            stop_signal=None,
            init=self.engine.info.has_init,
            keep_id=self.engine.info.rootless,
        )
        return replace(request, **changes)

    def create(self, *command: str, **changes: object) -> str:
        """A container, not started."""
        request = self.request(*command, **changes)
        container = self.engine.create(request)
        self.engine.place(container, request.files, request.user)
        return container

    def shell(self, script: str, **changes: object) -> str:
        """A container that runs a bash script, not started."""
        return self.create("bash", "-c", script, **changes)

    def worker(self, script: str) -> str:
        """A started worker: no stdin, and a log."""
        container = self.shell(script, is_head=False)
        self.engine.start(container)
        return container

    def output(self, script: str, stdin: bytes = b"", **changes: object) -> tuple[bytes, bytes]:
        """What a script writes to stdout and to stderr."""
        container = self.shell(script, **changes)
        attached = self.engine.attach(container, tty=False, stdin=True)
        self.engine.start(container)
        feeder = threading.Thread(target=lambda: (attached.write(stdin), attached.close_write()), daemon=True)
        feeder.start()
        found: dict[bool, list[bytes]] = {False: [], True: []}
        for is_stderr, data in attached.chunks():
            found[is_stderr].append(data)
        attached.close()
        return b"".join(found[False]), b"".join(found[True])

    def clean(self) -> None:
        """Remove what is left of this test."""
        for container in self.engine.containers(self.labels):
            self.engine.remove(container)
        for network in self.engine.networks(self.labels):
            self.engine.remove_network(network)


@contextlib.contextmanager
def docker_bench(link: Link) -> Iterator[Bench]:
    """This machine's Docker, over that link."""
    ensure_base(machine_at(DEFAULT_ENGINE), print)
    engine = docker_api.connect(link, SOCKET, 60, has_catatonit=False)
    try:
        yield Bench(engine, 12345)
    finally:
        engine.close()
        link.close()


@contextlib.contextmanager
def podman_node(directory: Path) -> Iterator[Link]:
    """A link to a node that has rootless Podman and nothing else, as its ordinary user. Removed at the end."""
    machine = machine_at(DEFAULT_ENGINE)
    users = lab_users("root", 0, 0)
    shape = Shape(f"t{uuid.uuid4().hex[:8]}", 1, Batch.NONE, NodeEngine.PODMAN, users=users)
    lab = up(machine, shape, print, {})
    try:
        load(machine, lab, (BASE,))
        node, name = lab.host("node1"), users[0].name
        key, known_hosts = directory / "key", directory / "known_hosts"
        front = lab.host(FRONT).container_id
        key.touch(0o600)
        key.write_bytes(capture(machine, front, Command(name, ("cat", f"/home/{name}/.ssh/id_ed25519"))).stdout)
        known_hosts.write_bytes(capture(machine, front, Command("root", ("cat", "/lab/known_hosts"))).stdout)
        settings = SshSettings(
            host=str(node.address),
            port=22,
            user=name,
            identity_files=(str(key),),
            known_hosts_files=(str(known_hosts),),
            known_as="node1",
            use_agent=False,
            gssapi=False,
            accept_unknown=False,
            needs_openssh=None,
        )
        link = link_paramiko.connect("node1", settings, KnownHosts.read([str(known_hosts)]), PrivateKeys(), 10)
        yield link
        link.close()
    finally:
        down(machine, shape.name)


@contextlib.contextmanager
def podman_bench(link: Link) -> Iterator[Bench]:
    """The ordinary user's rootless Podman on that node."""
    findings = probe(link, (), (), 10)
    engine, _ = choose_engine(link, findings, "podman", None, 60)
    try:
        yield Bench(engine, findings.uid)
    finally:
        engine.close()


def bind(source: str, target: str, read_only: bool = False) -> Mount:
    """A mount of the node's file system."""
    return Mount(source=source, target=target, read_only=read_only)
