"""Who a container runs as, as the programs in it see it."""

from __future__ import annotations

import json

import pytest
from jobs import Jobs, head, shell, worker
from stock import Stock

pytestmark = pytest.mark.lab

BIG = 1_500_000_000
"""A user number as directory services give them; below 2^31."""


def test_who_am_i(jobs: Jobs) -> None:
    """whoami, id and the account itself say what they say on the node; the image's own accounts are still there."""
    ask = "whoami; id -un; id -gn; id -u; id -g; echo $HOME; echo $USER; echo $LOGNAME; echo ~alice"
    ended = jobs.run(head(*shell(f"{ask}; getent passwd root")))
    expected = jobs.lab.text(["bash", "-lc", ask], host=jobs.lab.nodes[0]).splitlines()
    assert ended.text.splitlines() == [*expected, "root:x:0:0:root:/root:/bin/bash"], ended.err


def test_groups_are_those_of_the_head(docker_jobs: Jobs) -> None:
    """All groups have their numbers and names in each container, also one that only the head's node knows."""
    first = docker_jobs.lab.nodes[0]
    docker_jobs.lab.run("groupadd -g 77777 physics && usermod -aG physics alice", user="root", host=first, check=True)
    try:
        ended = docker_jobs.run(
            head(*shell("id -Gn; cat /h/groups-of-w"), volumes=["/home/alice:/h"]),
            worker(
                "w", *shell("id -Gn > /h/groups-of-w; echo up; sleep 99"), volumes=["/home/alice:/h"],
                ready={"log": "up"},
            ),
        )  # fmt: skip
        on_head, on_worker = ended.text.splitlines()
        assert "physics" in on_head.split()
        assert sorted(on_worker.split()) == sorted(on_head.split())
        assert sorted(on_head.split()) == sorted(docker_jobs.lab.text(["id", "-Gn"], host=first).split())
    finally:
        docker_jobs.lab.run("gpasswd -d alice physics; groupdel physics", user="root", host=first)


def test_groups_lost_on_podman_are_told(jobs: Jobs) -> None:
    """Where rootless Podman cannot give the other groups, a warning names them; elsewhere there is none."""
    first = jobs.lab.nodes[0]
    jobs.lab.run("groupadd -g 77777 physics && usermod -aG physics alice", user="root", host=first, check=True)
    try:
        ended = jobs.run(head("id", "-g"))
        assert ("but not your other groups" in ended.err) == (jobs.engine == "podman")
    finally:
        jobs.lab.run("gpasswd -d alice physics; groupdel physics", user="root", host=first)


def test_git_and_ssh_keygen_work(jobs: Jobs, stock: Stock) -> None:
    """Programs that refuse to work for a user without an account do work: git makes a commit, ssh-keygen a key."""
    script = (
        "set -e; cd; git init -q r; cd r; git -c user.email=a@b -c user.name=A commit -q --allow-empty -m one; "
        "git log --format=%s; ssh-keygen -q -t ed25519 -N '' -f ~/k; cut -d' ' -f3 ~/k.pub | cut -d@ -f1"
    )
    ended = jobs.run(head(*shell(script), image=stock.image(jobs, "python")))
    assert ended.text.split() == ["one", "alice"], ended.err


def test_mounted_home_is_the_home(jobs: Jobs) -> None:
    """With the home mounted at its own place, it is $HOME, and what is written there is the submitter's outside."""
    ended = jobs.run(head(*shell("cd && echo x > made-at-home && pwd"), volumes=["/home/alice:/home/alice"]))
    assert ended.text == "/home/alice\n", ended.err
    assert jobs.lab.text("stat -c %U:%G:%s ~/made-at-home; rm ~/made-at-home") == "alice:alice:2"


def test_account_files_of_the_definition_are_left_alone(jobs: Jobs) -> None:
    """Who mounts their own /etc/passwd has that one, unchanged."""
    ended = jobs.run(head("cat", "/etc/passwd", volumes=["/etc/passwd:/etc/passwd:ro"]))
    assert ended.text.strip() == jobs.lab.text(["cat", "/etc/passwd"], host=jobs.lab.nodes[0])


def test_numbers_as_directory_services_give_them(docker_jobs: Jobs) -> None:
    """A user and a group with numbers far above those of the image are themselves, and their files are theirs."""
    node = docker_jobs.lab.nodes[0]
    definition = {"containers": [head(*shell("id -u; id -g; id -un; touch /h/made"), volumes=["/home/big:/h"])]}
    docker_jobs.lab.run(
        f"groupadd -g {BIG} big && useradd --no-log-init -m -u {BIG} -g {BIG} -G docker big", user="root", host=node,
        check=True,
    )  # fmt: skip
    try:
        docker_jobs.lab.write("/home/big/job.json", json.dumps(definition), user="root", host=node)
        run = ["runuser", "-u", "big", "--", "sh", "-c", "cd; HOME=/home/big exec dgrid --dockdef=/home/big/job.json"]
        done = docker_jobs.lab.run(run, user="root", host=node)
        assert done.stdout.decode().split() == [str(BIG), str(BIG), "big"], done.stderr.decode()
        made = docker_jobs.lab.text(["stat", "-c", "%u:%g", "/home/big/made"], user="root", host=node)
        assert made == f"{BIG}:{BIG}"
    finally:
        docker_jobs.lab.run("userdel -r big", user="root", host=node)
