"""ssh from container to container, with keys that exist during the run only."""

from __future__ import annotations

from typing import Any

import pytest
from jobs import Jobs, head, shell, worker
from stock import SSHD, Stock

pytestmark = pytest.mark.lab


def server(image: str, port: int = 2222, **keys: Any) -> dict[str, Any]:
    """Two workers that serve ssh."""
    return worker(
        "w", *SSHD, image=image, scale=2, ports=[port], ready={"tcp": port}, host_to_list=["tag=w"], **keys
    )  # fmt: skip


@pytest.mark.parametrize("network", ["host", "overlay"])
def test_head_reaches_workers_by_every_name(docker_jobs: Jobs, stock: Stock, network: str) -> None:
    """By the hostfile's names, those of instances, and the container's: no option, no question, the same user."""
    image = stock.image(docker_jobs, "python", nodes=3)
    script = (
        "set -e; for host in $(tr -dc 'a-z0-9, -' < /dgrid/hostfile.json | tr , ' ' | cut -d' ' -f2-) w-1 w-2 w; "
        "do ssh -n $host 'id -un; hostname'; done"
    )
    ended = docker_jobs.run(head(*shell(script), image=image), server(image), network=network)
    answers = ended.text.split()
    hosts = list(docker_jobs.lab.nodes[1:3]) if network == "host" else ["w-1", "w-2"]
    assert answers[::2] == ["alice"] * 5, ended.err
    assert answers[1::2][:4] == hosts * 2
    assert answers[9] in hosts
    assert docker_jobs.left() == []


def test_rootless_podman(jobs: Jobs, stock: Stock) -> None:
    """On both engines: exit codes come back, workers reach each other, and no power is gained on the way."""
    image = stock.image(jobs, "python", nodes=3)
    script = (
        "ssh w-1 \"ssh w-2 'grep -E ^CapEff /proc/self/status; grep NoNewPrivs /proc/self/status'\"; "
        "ssh w-1 'exit 77'; echo $?"
    )
    ended = jobs.run(head(*shell(script), image=image), server(image), network="host")
    assert ended.text.split() == ["CapEff:", "0" * 16, "NoNewPrivs:", "1", "77"], ended.err


def test_keys_are_of_one_run_and_gone_with_it(docker_jobs: Jobs, stock: Stock) -> None:
    """Two runs have different keys; a key is the submitter's alone; no file of a node has it when the run has ended."""
    image = stock.image(docker_jobs, "python", nodes=3)
    lab, node = docker_jobs.lab, docker_jobs.lab.nodes[0]
    look = shell("cd /dgrid/ssh; cat id_ed25519.pub; stat -c '%U %a' id_ed25519 host_key; touch /h/seen; sleep 8")
    options = docker_jobs.write(head(*look, image=image, volumes=["/home/alice:/h"]))
    run = f"rm -f ~/seen; dgrid {options} > ~/looked & until [ -e ~/seen ]; do sleep 0.2; done; cut -d' ' -f2 ~/looked"
    search = (
        "find /tmp /run /home/alice/.ssh /var/lib/docker -xdev -type f -mmin -10 -exec grep -lsF -e {} {{}} +; true"
    )

    def places_of(key: str) -> str:
        return lab.text(search.format(key), user="root", host=node)

    keys = []
    for _ in range(2):
        key = lab.text(f"({run} | head -1); sleep 0.1", host=node)
        assert "/authorized_keys" in places_of(key)
        lab.run("while pgrep -x dgrid >/dev/null; do sleep 0.2; done", host=node, check=True)
        assert lab.text("tail -n +2 ~/looked", host=node).splitlines() == ["alice 600", "alice 600"]
        assert places_of(key) == ""
        keys.append(key)
    assert keys[0] != keys[1]


def test_another_port(jobs: Jobs, stock: Stock) -> None:
    """The port of the definition is the server's and the clients'."""
    image = stock.image(jobs, "python", nodes=3)
    ended = jobs.run(head("ssh", "w-2", "hostname", image=image), server(image, port=2345), ssh={"port": 2345})
    assert ended.text.strip(), ended.err


def test_no_keys_where_none_are_wanted(jobs: Jobs, stock: Stock) -> None:
    """With "ssh": false there is nothing, and dgrid's own image says why it cannot serve."""
    assert jobs.run(head("ls", "-d", "/dgrid/ssh"), ssh=False).code == 2
    image = stock.dgrids_openmpi(jobs)
    ended = jobs.run(head("true"), worker("w", "serve-ssh", image=image, ready={"tcp": 2222}), ssh=False)
    assert ended.code == 125
    assert "its last line: serve-ssh: /dgrid/ssh/sshd_config is not there" in ended.err
