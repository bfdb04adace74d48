"""A lab that runs: what of this machine is in it, how it is looked into, nodes that come and go, services that end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import DGRID, Cluster, dgrid, machine_engine

pytestmark = pytest.mark.lab

NAME = f"u{os.getpid()}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of this machine."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def port() -> int:
    """A port of this machine that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def lab(place: Path, port: int) -> Iterator[Cluster]:
    """Two nodes with Slurm, a volume, a data directory and a published port."""
    (place / "in").mkdir()
    (place / "in/file").write_text("from outside")
    mine = ("-v", f"{place}/in:/in:ro", "--data", f"{place}/data", "--publish", f"{port}:8000")
    started = dgrid("lab", "up", "--name", NAME, "-n", "2", "--batch", "slurm", *mine, timeout=900)
    assert started.returncode == 0, started.stderr
    yield Cluster(NAME, ("node1", "node2"))
    dgrid("lab", "down", "--name", NAME)


def nodes_of(lab: Cluster) -> dict[str, str]:
    rows = json.loads(dgrid("lab", "status", "--name", lab.name, "--json").stdout)
    return {row["host"]: row["batch"] for row in rows[1:]}


def test_a_volume_is_on_every_host(lab: Cluster) -> None:
    """With :ro nobody writes there."""
    for host in ("front", "node2"):
        assert lab.text(["cat", "/in/file"], host=host) == "from outside"
    assert b"Read-only file system" in lab.run(["touch", "/in/more"], user="root").stderr


def test_the_data_directory_is_the_labs_users(lab: Cluster, place: Path) -> None:
    """It was made, the user writes there, and it is on this machine."""
    lab.text("hostname >/data/who", host="node1")
    assert (place / "data/who").read_text() == "node1\n"


def test_a_published_port_is_the_frontends(lab: Cluster, port: int) -> None:
    """What listens on the frontend is reached at this machine's address."""
    server = ["python3", "-m", "http.server", "--directory", "/in", "8000"]
    with subprocess.Popen([*DGRID, "lab", "run", "--name", lab.name, "--", *server], stderr=subprocess.DEVNULL) as web:
        try:
            asked = fetched(f"http://127.0.0.1:{port}/file")
        finally:
            web.terminate()
    assert asked == b"from outside"


def fetched(url: str) -> bytes:
    """What is at the address, once somebody answers there."""
    end = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.5)


def test_plain_ssh_from_this_machine(lab: Cluster, tmp_path: Path) -> None:
    """`ssh -F` with what `lab ssh-config` prints asks nothing; `lab down` removes the key (seen at the end)."""
    config = tmp_path / "config"
    config.write_text(dgrid("lab", "ssh-config", "--name", lab.name).stdout)
    for host in ("front", "node2", f"node1.{lab.name}"):
        done = subprocess.run(
            ["ssh", "-F", config, "-o", "BatchMode=yes", host, "hostname"], capture_output=True, text=True
        )
        assert (done.stdout.strip(), done.stderr) == (host.split(".")[0], "")


def test_logs(lab: Cluster) -> None:
    """All logs of a host with headings; one service's; an unknown one is refused with those there are."""
    lab.text(["logger", "seen", "by", "syslog"], host="node1")
    told = dgrid("lab", "logs", "--name", lab.name, "node1").stdout
    assert "==> node1 start <==" in told
    assert "lab: node1 has started everything" in told
    assert "seen by syslog" in told
    assert "==> node1 /var/log/dockerd.log <==" in told
    controller = dgrid("lab", "logs", "--name", lab.name, "front", "slurmctld").stdout
    assert {line.split("/")[-1] for line in controller.splitlines() if "==>" in line} == {"slurmctld.log <=="}
    refused = dgrid("lab", "logs", "--name", lab.name, "node1", "pbs_mom")
    assert refused.returncode == 125
    assert "no log of lab" in refused.stderr
    assert "/var/log/dockerd.log" in refused.stderr


def test_a_service_that_ends_is_started_again(lab: Cluster) -> None:
    """sshd and slurmd are killed, and work again by themselves; a process that loses its parent is reaped."""
    before = lab.text("pidof slurmd; pgrep -xf '.*sshd -D.*'; true", host="node1", user="root").split()
    lab.run("kill -KILL $(pidof slurmd) $(cat /etc/service/sshd/supervise/pid)", host="node1", user="root", check=True)
    lab.text("(sh -c 'sleep 0.2 & exit' &) ; sleep 1; ! ps -e -o stat | grep -q '^Z'", host="node1")
    end = time.monotonic() + 20
    while (
        lab.run(["ssh", "-o", "BatchMode=yes", "node1", "true"]).returncode
        or not lab.run(["pidof", "slurmd"], host="node1").stdout.split()
    ):
        assert time.monotonic() < end
        time.sleep(0.5)
    assert set(lab.text(["pidof", "slurmd"], host="node1").split()).isdisjoint(before)


def test_nodes_come_and_go(lab: Cluster) -> None:
    """A job runs on nodes that were added; those that were removed are known nowhere; the others go on."""
    try:
        added = dgrid("lab", "add", "--name", lab.name, "1")
        assert added.returncode == 0, added.stderr
        assert nodes_of(lab) == {"node1": "idle", "node2": "idle", "node3": "idle"}
        assert lab.text("srun --nodes=3 hostname | sort").split() == ["node1", "node2", "node3"]
        assert lab.text("ssh node1 ssh -o BatchMode=yes node3 hostname; ssh node3 ssh node2 hostname") == "node3\nnode2"
        removed = dgrid("lab", "remove", "--name", lab.name, "node2")
        assert (removed.returncode, removed.stderr) == (0, "dgrid lab: removed node2\n")
        assert set(nodes_of(lab)) == {"node1", "node3"}
        assert lab.run(["ssh", "-o", "BatchMode=yes", "node2", "true"]).returncode == 255
        assert lab.text("srun --nodes=2 hostname | sort").split() == ["node1", "node3"]
        again = dgrid("lab", "add", "--name", lab.name)
        assert again.returncode == 0, again.stderr
        assert set(nodes_of(lab)) == {"node1", "node3", "node4"}
    finally:
        names = [name for name in nodes_of(lab) if name not in ("node1", "node2")]
        dgrid("lab", "remove", "--name", lab.name, *names)


def test_the_frontend_and_the_last_node_stay(lab: Cluster) -> None:
    """What to do instead is said."""
    for wanted, words in ((("front",), "front is no node"), (tuple(nodes_of(lab)), "a lab has a node at least")):
        done = dgrid("lab", "remove", "--name", lab.name, *wanted)
        assert done.returncode == 125
        assert words in done.stderr
        assert f"dgrid lab down --name {lab.name}" in done.stderr


def test_down_says_what_it_removes(lab: Cluster, place: Path) -> None:
    """A line for each host; keys for ssh go, the data directory stays."""
    keys = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dgrid" / f"lab-{lab.name}"
    assert keys.exists()
    done = dgrid("lab", "down", "--name", lab.name)
    lines = done.stderr.splitlines()
    assert lines[:2] == ["dgrid lab: removed front", "dgrid lab: removed node1"]
    assert lines[-2:] == ["dgrid lab: removed the network", "dgrid lab: removed 5 volumes"]
    assert not keys.exists()
    assert (place / "data/who").exists()
    assert not machine_engine().containers.list(all=True, filters={"label": f"io.dgrid.lab={lab.name}"})


def test_a_shell_as_soon_as_it_is_up() -> None:
    """`lab up --connect` goes on in a shell of the lab's user on the frontend, and ends with its exit code."""
    name = f"c{os.getpid()}"
    command = [*DGRID, "lab", "up", "--name", name, "-n", "1", "--batch", "none", "--connect", "--quiet"]
    try:
        done = subprocess.run(command, input=b"hostname; pwd; exit 4\n", capture_output=True)
    finally:
        dgrid("lab", "down", "--name", name)
    host, home = done.stdout.decode().split()
    assert (done.returncode, host) == (4, "front")
    assert home.startswith("/home/")
