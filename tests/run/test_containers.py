"""What the containers of a run find: places, names, networks, hostfile, identity, order."""

from __future__ import annotations

import json

import pytest
from jobs import LISTENER, Jobs, ask, head, shell, worker

pytestmark = pytest.mark.lab


def test_hostfile_is_there_before_the_first_instruction(jobs: Jobs) -> None:
    """The head's very first act may be to read the tagged hostfile, also where the definition wants it elsewhere."""
    ended = jobs.run(
        head("cat", "/hostfile.json", host_list_location="/"),
        worker("w", scale=2, host_to_list=["tag=workers"]),
        network="host",
    )
    assert json.loads(ended.text) == {"workers": list(jobs.lab.nodes[1:3])}


def test_plan_is_what_runs(jobs: Jobs) -> None:
    """`dgrid plan` names the node each container then runs on."""
    options = jobs.write(
        head(*shell("echo head $DGRID_NODE; cat /dgrid/hostfile.json")),
        worker("w", scale=2, host_to_list=["tag=w"]),
        network="host",
    )
    ended = jobs.dgrid(options)
    planned = json.loads(jobs.dgrid(f"plan {options} --json").text)
    places = {one["name"]: one["node"] for one in planned["instances"]}
    assert ended.text.splitlines()[0] == f"head {places['head']}"
    assert json.loads(ended.text.splitlines()[1]) == {"w": [places["w-1"], places["w-2"]]}


@pytest.mark.parametrize("network", ["host", "bridge", "overlay"])
def test_every_name_reaches_its_container(docker_jobs: Jobs, network: str) -> None:
    """In each kind of network instances are reached by the hostfile's names, their own, and their container's."""
    names = "$(tr -dc 'a-z0-9, -' < /dgrid/hostfile.json | tr , ' ' | cut -d' ' -f2-)"
    script = f"for name in {names}; do {ask('$name')}; done; {ask('w-2')}; {ask('w')}"
    options = "--local 3" if network == "bridge" else ""
    definition = docker_jobs.write(
        head(*shell(script)),
        worker("w", *LISTENER, scale=2, host_to_list=["tag=w"], ready={"tcp": 5000}, ports=[5000]),
        network=network,
    )
    if network == "bridge":
        definition = definition.split()[1]
    ended = docker_jobs.dgrid(f"{definition} {options}")
    assert ended.code == 0, ended.err
    first, second, by_own_name, by_containers_name = ended.text.splitlines()
    assert first != second
    assert by_own_name == second
    assert by_containers_name in (first, second)
    assert docker_jobs.left() == []


def test_containers_run_as_the_submitter_and_no_more(jobs: Jobs) -> None:
    """uid and gid are the submitter's, no capability is left, none can be gained, HOME is there and one's own."""
    script = "id -u; id -g; grep -E 'CapBnd|CapEff|NoNewPrivs' /proc/self/status; cd && touch x && pwd; echo $USER"
    mine = jobs.lab.run(["sh", "-c", "id -u; id -g; echo $HOME; echo $USER"]).stdout.decode().split()
    uid, gid, home, user = mine
    lines = jobs.run(head(*shell(script))).text.split()
    assert lines == [uid, gid, "CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1", home, user]


def test_files_written_to_a_mounted_home_are_the_users(jobs: Jobs) -> None:
    """A file made in a mounted home belongs to the submitter, on Docker and on rootless Podman."""
    ended = jobs.run(head(*shell("touch /h/made; cat /h/job*/nodes | head -1"), volumes=["/home/alice:/h"]))
    assert ended.code == 0, ended.err
    assert jobs.lab.run(["stat", "-c", "%U", "/home/alice/made"]).stdout.decode().strip() == "alice"


_LABELS = ("session", "job", "user", "container", "index", "node", "nodes", "role")


def test_labels_mark_everything(docker_jobs: Jobs) -> None:
    """All labels are on each container while it runs."""
    options = docker_jobs.write(head("sleep", "60", stop_grace_s=0), worker("w"))
    inspect = "docker inspect -f '{{json .Config.Labels}}' $(docker ps -q)"
    script = f'dgrid {options} & until [ -n "$(docker ps -q)" ]; do sleep 0.1; done; {inspect}; kill $!; wait'
    done = docker_jobs.lab.run(["sh", "-c", script], host=docker_jobs.lab.nodes[0])
    labels = json.loads(done.stdout)
    assert labels["io.dgrid.container"] == "head"
    assert labels["io.dgrid.user"] == "alice"
    assert set(labels) >= {f"io.dgrid.{name}" for name in _LABELS}


def test_link_gives_the_others_host(jobs: Jobs) -> None:
    """`"links": ["db:DB_HOST"]` is the host name of the other container in a variable."""
    ended = jobs.run(head(*shell("echo $DB_HOST"), links=["db:DB_HOST"]), worker("db"), network="host")
    assert ended.text.strip() == jobs.lab.nodes[1]


@pytest.mark.parametrize(
    "ready",
    [{"tcp": 5000}, {"log": "now ready"}, {"command": ["test", "-e", "/tmp/ready"]}],
    ids=["tcp", "log", "command"],
)
def test_head_starts_when_workers_are_ready(jobs: Jobs, ready: dict[str, object]) -> None:
    """With `ready`, the head's first instruction runs after the worker has become ready, however that is told."""
    slow = "sleep 1; date +%s%N > /h/ready-at; echo now ready; touch /tmp/ready; "
    ended = jobs.run(
        head(*shell("echo $(( $(date +%s%N) > $(cat /h/ready-at) ))"), volumes=["/home/alice:/h"]),
        worker("w", *shell(slow + LISTENER[2].replace("$$", "$")), ready=ready, volumes=["/home/alice:/h"]),
    )
    assert ended.text.strip() == "1", ended.err
    jobs.lab.run(["rm", "-f", "/home/alice/ready-at"])


def test_workers_start_in_the_order_of_depends_on(jobs: Jobs) -> None:
    """A container starts when those it depends on are ready, and not before."""
    stamp = "date +%s%N > /h/{}; echo up; sleep 99"
    ended = jobs.run(
        head(*shell("cat /h/first /h/second"), volumes=["/home/alice:/h"]),
        worker(
            "second",
            *shell(stamp.format("second")),
            depends_on=["first"],
            volumes=["/home/alice:/h"],
            ready={"log": "up"},
        ),
        worker("first", *shell("sleep 1;" + stamp.format("first")), ready={"log": "up"}, volumes=["/home/alice:/h"]),
    )
    first, second = map(int, ended.text.split())
    assert first < second


def test_openssh_instead_of_paramiko(jobs: Jobs) -> None:
    """--link openssh does the same over the ssh client, and leaves no process or directory of it."""
    ended = jobs.run(
        head("cat", "/dgrid/hostfile.json"),
        worker("w", host_to_list=["tag=w"]),
        options="--link openssh",
        network="host",
    )
    assert json.loads(ended.text) == {"w": [jobs.lab.nodes[1]]}
    found = jobs.lab.run(["sh", "-c", "ls -d /tmp/dgrid-*; pgrep -x ssh"], host=jobs.lab.nodes[0]).stdout
    assert found == b""
    assert jobs.left() == []
