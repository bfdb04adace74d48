"""An image gets from one node to all others, from node to node, whatever happens to one of them on the way."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from cluster import LABEL, Cluster, machine_engine
from jobs import IMAGE as JOB_IMAGE
from jobs import Jobs, head, shell, worker

pytestmark = pytest.mark.lab

MEGABYTES = 50
IMAGE = "localhost/alice/spread:1"
ENGINE_DISK = "/var/lib/docker/tmp"


def as_root(lab: Cluster, host: str, script: str, check: bool = True) -> str:
    """What a script prints, run by root on a host of the lab."""
    (container,) = machine_engine().containers.list(filters={"label": [f"{LABEL}={lab.name}", f"{LABEL}.host={host}"]})
    code, output = container.exec_run(["bash", "-c", script])
    assert code == 0 or not check, output.decode()
    return output.decode()


def sent_bytes(lab: Cluster, host: str) -> int:
    """What has left a host by its network."""
    return int(as_root(lab, host, "cat /sys/class/net/eth0/statistics/tx_bytes"))


@pytest.fixture(scope="module")
def lab_with_image(docker_lab: Cluster) -> Iterator[Cluster]:
    """Four nodes; the first has an image of 50 MB, of content that cannot be compressed."""
    content = f"d=$(mktemp -d) && cd $d && head -c {MEGABYTES}000000 /dev/urandom > content && cp /bin/true ."
    as_root(docker_lab, "node1", f"{content} && tar c . | docker import - {IMAGE} && rm -r $d")
    docker_lab.write("spread.nodes", "".join(f"{node}\n" for node in docker_lab.nodes))
    yield docker_lab
    remove_image(docker_lab, docker_lab.nodes)


@pytest.fixture
def lab(lab_with_image: Cluster) -> Cluster:
    """Four nodes, of which the first alone has the image."""
    remove_image(lab_with_image, lab_with_image.nodes[1:])
    return lab_with_image


def remove_image(lab: Cluster, nodes: Sequence[str], image: str = IMAGE) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: as_root(lab, node, f"docker image rm -f {image}", check=False), nodes))


@contextmanager
def slow(lab: Cluster, host: str) -> Iterator[None]:
    """The host sends no more than 10 MB a second, so that there is a middle in which something can happen."""
    as_root(lab, host, "tc qdisc add dev eth0 root tbf rate 80mbit burst 256kb latency 100ms")
    try:
        yield
    finally:
        as_root(lab, host, "tc qdisc del dev eth0 root")


@contextmanager
def in_the_middle(lab: Cluster, host: str, act: Callable[[], None]) -> Iterator[None]:
    """Does something as soon as 10 MB of the image have come to a host."""
    seen = threading.Event()

    def watch() -> None:
        start = time.monotonic()
        count = "cat /sys/class/net/eth0/statistics/rx_bytes"
        first = int(as_root(lab, host, count))
        while time.monotonic() - start < 60 and int(as_root(lab, host, count)) - first < 10_000_000:
            time.sleep(0.1)
        act()
        seen.set()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield
    assert seen.wait(60)


def spread(lab: Cluster, options: str = "--json", image: str = IMAGE) -> subprocess.CompletedProcess[bytes]:
    """``dgrid image spread`` on the first node."""
    return lab.run(f"dgrid image spread {image} --hostfile spread.nodes {options}", host="node1", timeout=120)


def ids(lab: Cluster, image: str = IMAGE) -> list[str]:
    return [lab.engine(node).image_id(image) for node in lab.nodes]


def nothing_left(lab: Cluster) -> bool:
    """No relay runs, and none has left a file, on any node."""
    look = "pgrep -f '^python3 -B'; ls -d /tmp/dgrid-* 2>/dev/null"
    deadline = time.monotonic() + 10
    while left := [text for node in lab.nodes if (text := as_root(lab, node, look, check=False))]:
        assert time.monotonic() < deadline, left
        time.sleep(0.5)
    return True


def test_an_image_travels_from_node_to_node(lab: Cluster) -> None:
    """It gets to the nodes that lack it, leaves the first node once, and is the same everywhere."""
    as_root(lab, "node1", f"docker save {IMAGE} > /home/alice/spread.tar")
    as_root(lab, "node3", "docker load -i /home/alice/spread.tar; rm /home/alice/spread.tar")
    before = sent_bytes(lab, "node1")
    done = spread(lab)
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert (said["had_it"], said["got_it"]) == (["node1", "node3"], ["node2", "node4"])
    assert (said["through_this_machine"], said["failed"]) == ([], {})
    assert len(set(ids(lab))) == 1
    assert said["id"] == ids(lab)[0]
    assert sent_bytes(lab, "node1") - before < 1.5e6 * MEGABYTES
    assert nothing_left(lab)
    again = json.loads(spread(lab).stdout)
    assert again["got_it"] == []


def test_layers_that_all_nodes_have_are_not_sent(lab: Cluster) -> None:
    """Of an image made from another one only what is new travels."""
    assert spread(lab).returncode == 0
    as_root(lab, "node1", f"c=$(docker create {IMAGE} /true) && docker cp /etc/passwd $c:/new && "
                          "docker commit $c localhost/alice/spread:2 && docker rm $c")  # fmt: skip
    before = sent_bytes(lab, "node1")
    done = spread(lab, image="localhost/alice/spread:2")
    assert done.returncode == 0, done.stderr.decode()
    assert len(set(ids(lab, "localhost/alice/spread:2"))) == 1
    remove_image(lab, lab.nodes, "localhost/alice/spread:2")
    assert sent_bytes(lab, "node1") - before < 5e6


def test_the_loss_of_a_node_does_not_stop_the_others(lab: Cluster) -> None:
    """A node in the middle of the chain stops dead: those behind it get the image all the same, and it is named."""
    engine = machine_engine()
    (node2,) = engine.containers.list(filters={"label": [f"{LABEL}={lab.name}", f"{LABEL}.host=node2"]})
    try:
        with slow(lab, "node1"), in_the_middle(lab, "node4", node2.pause):
            done = spread(lab)
    finally:
        node2.unpause()
    said = json.loads(done.stdout)
    assert done.returncode == 125
    assert said["got_it"] == ["node3", "node4"], done.stderr.decode()
    assert list(said["failed"]) == ["node2"]
    assert f"dgrid: node2: the image {IMAGE} did not get there: " in done.stderr.decode()
    assert ids(lab)[2:] == [ids(lab)[0]] * 2
    assert nothing_left(lab)


def test_a_relay_that_is_killed_does_not_stop_the_others(lab: Cluster) -> None:
    """Those behind it go on from where they were: what the first node sends is little more than one image."""
    before = sent_bytes(lab, "node1")
    kill = "pkill -KILL -f '^/?[a-z/]*python3 -B /tmp/dgrid'"
    with slow(lab, "node1"), in_the_middle(lab, "node4", lambda: as_root(lab, "node3", kill)):
        done = spread(lab)
    said = json.loads(done.stdout)
    assert (said["got_it"], list(said["failed"])) == (["node2", "node4"], ["node3"]), done.stderr.decode()
    assert sent_bytes(lab, "node1") - before < 1.5e6 * MEGABYTES


def test_a_full_disk_is_told_with_its_place_and_size(lab: Cluster) -> None:
    """The engine's words, its directory and what is free there; the nodes behind it get the image."""
    as_root(lab, "node2", f"mount -t tmpfs -o size=20m tmpfs {ENGINE_DISK}")
    try:
        done = spread(lab)
    finally:
        as_root(lab, "node2", f"umount -l {ENGINE_DISK}")
    said = json.loads(done.stdout)
    assert said["got_it"] == ["node3", "node4"], done.stderr.decode()
    assert "no space left on device" in said["failed"]["node2"]
    assert re.search(
        r"the engine keeps images in /var/lib/docker, where \d+ of \d+ MiB are free", said["failed"]["node2"]
    )


def test_a_node_that_others_cannot_reach_is_gone_around(lab: Cluster) -> None:
    """Where a firewall keeps others from a node's relay, the next one takes the image from the node before."""
    rule = "INPUT -i eth0 -p tcp --dport 1024: --syn -j REJECT"
    as_root(lab, "node2", f"iptables -I {rule}")
    try:
        done = spread(lab)
    finally:
        as_root(lab, "node2", f"iptables -D {rule}")
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["got_it"] == ["node2", "node3", "node4"]
    assert json.loads(done.stdout)["through_this_machine"] == []


def test_a_node_without_python_gets_it_through_this_machine(lab: Cluster) -> None:
    """The last way is told, not taken silently."""
    as_root(lab, "node4", "mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        done = spread(lab)
    finally:
        as_root(lab, "node4", "mv /usr/bin/python3.away /usr/bin/python3")
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["through_this_machine"] == ["node4"]
    told = f"node4: gets {IMAGE} through this machine, as it cannot take it from another node (there is no python3"
    assert told in done.stderr.decode()
    assert len(set(ids(lab))) == 1


def test_what_no_node_has_cannot_be_spread(lab: Cluster) -> None:
    """The error says where it was looked for and what to do."""
    done = spread(lab, image="localhost/alice/none:1")
    assert done.returncode == 125
    assert "the image localhost/alice/none:1 is not there, so nothing can be spread" in done.stderr.decode()


def test_a_run_spreads_its_images_and_removes_what_it_brought(docker_jobs: Jobs) -> None:
    """ "pull": "spread" brings the image to the nodes that lack it; with --images remove they lack it again afterwards,
    and the node that had it before still has it."""
    lab, image = docker_jobs.lab, "localhost/alice/other:1"
    as_root(lab, "node2", f"docker tag {JOB_IMAGE} {image}x && echo 'x' > /tmp/x && "
                          f"c=$(docker create {image}x true) && docker cp /tmp/x $c:/x && docker commit $c {image} && "
                          f"docker rm $c && docker image rm {image}x")  # fmt: skip
    containers = (
        head(*shell("cat /x"), image=image),
        worker("worker", *shell("cat /x; sleep 300"), image=image, scale="per_node"),
    )
    try:
        ended = docker_jobs.run(*containers, options="--images remove --oversubscribe", pull="spread")
        assert (ended.code, ended.text) == (0, "x\n"), ended.err
        assert [bool(one) for one in ids(lab, image)] == [False, True, False, False]
        assert all(lab.engine(node).image_id(JOB_IMAGE) for node in lab.nodes)
    finally:
        remove_image(lab, lab.nodes, image)


def test_podman_s_own_images_keep_their_ids(podman_lab: Cluster) -> None:
    """Podman builds images in the OCI format, and they travel in it: rewritten, they would be others."""
    image = "localhost/alice/oci:1"
    made = f"c=$(podman create {JOB_IMAGE} true) && podman commit -q $c {image} && podman rm $c"
    podman_lab.run(made, host="node1", check=True)
    podman_lab.write("spread.nodes", "".join(f"{node}\n" for node in podman_lab.nodes))
    done = spread(podman_lab, image=image)
    assert done.returncode == 0, done.stderr.decode()
    look = f"podman image inspect --format '{{{{.Id}}}}' {image}; podman image rm {image} >&2"
    found = {podman_lab.text(look, host=node) for node in podman_lab.nodes}
    assert found == {json.loads(done.stdout)["id"].removeprefix("sha256:")}
