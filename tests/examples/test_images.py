"""The examples' images on a real engine, as ordinary user without capabilities."""

from __future__ import annotations

import json

import pytest
from by_hand import IMAGES, UID, Hand, Images, docker


def test_one_container_reaches_another_over_ssh(hand: Hand, images: Images) -> None:
    """A head logs in to a worker on port 2222 with no question asked, and is the same user there, with no powers."""
    worker = hand.run("worker", images.pyssh, options=("--hostname", "anything"))
    ask = "id -u; id -un; hostname; grep -e CapEff -e CapBnd -e NoNewPrivs /proc/self/status | cut -f2"
    done = hand.call(images.pyssh, "ssh", "-p", "2222", "-o", "ConnectionAttempts=20", worker, ask)
    assert done.returncode == 0, done.stderr + hand.logs("worker")
    assert done.stdout.split() == [str(UID), "dgridtest", "anything", "0" * 16, "0" * 16, "1"]


def test_keys_work_where_the_home_directory_is_another(hand: Hand, images: Images) -> None:
    """With the user's home mounted over the image's, and HOME elsewhere, ssh still works."""
    hidden = ("--tmpfs", "/home/dgridtest", "--env", "HOME=/somewhere")
    worker = hand.run("worker", images.pyssh, options=hidden)
    command = ("ssh", "-p", "2222", "-o", "ConnectionAttempts=20", worker, "echo reached")
    done = hand.call(images.pyssh, *command, options=hidden)
    assert done.stdout == "reached\n", done.stderr + hand.logs("worker")


def test_exit_code_comes_back(hand: Hand, images: Images) -> None:
    """What a command on a worker ends with, ssh on the head ends with."""
    worker = hand.run("worker", images.pyssh)
    done = hand.call(images.pyssh, "ssh", "-p", "2222", "-o", "ConnectionAttempts=20", worker, "exit 77")
    assert done.returncode == 77


def test_strangers_are_not_let_in(hand: Hand, images: Images) -> None:
    """Without the image's key there is no way in: no password, no other method."""
    worker = hand.run("worker", images.pyssh)
    options = ("-o", "ConnectionAttempts=20", "-o", "IdentitiesOnly=yes", "-o", "IdentityFile=none")
    done = hand.call(
        images.pyssh, "ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-p", "2222", *options, worker, "id"
    )
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


def test_server_refuses_to_serve_another_user(hand: Hand, images: Images) -> None:
    """Run by somebody it was not built for, the image says so and what to do, and ends with 1."""
    done = hand.call(images.pyssh, options=("--user", "3456:3456"))
    assert done.returncode == 1
    assert f"built for uid {UID}, but runs as uid 3456" in done.stderr
    assert "--build-arg UID=" in done.stderr


@pytest.mark.parametrize("name", ["pyssh", "mongodb"])
def test_image_asks_for_no_root_and_no_volume(images: Images, name: str) -> None:
    """The image's user is an ordinary one, and it declares no volume, which would belong to root."""
    settings = json.loads(docker("image", "inspect", getattr(images, name)).stdout)[0]["Config"]
    assert settings["User"].split(":")[0] == str(UID)
    assert not settings["Volumes"]


@pytest.mark.parametrize("arguments", [(), ("USER=root", "UID=0"), ("USER=alice",), ("USER=alice", "UID=0")])
def test_building_for_root_or_nobody_is_refused(images: Images, arguments: tuple[str, ...]) -> None:
    """Without USER and UID of an ordinary user the build fails, and says what to give."""
    build = [part for argument in arguments for part in ("--build-arg", argument)]
    done = docker("build", "--force-rm", "--network", "host", *build, IMAGES / "pyssh", check=False)
    assert done.returncode != 0
    assert "--build-arg USER=$USER --build-arg UID=$(id -u)" in done.stdout + done.stderr


def test_standin_refuses_to_keep_secrets(hand: Hand, images: Images) -> None:
    """Asked for passwords, which it has not, the stand-in does not start without them but says what to do."""
    done = hand.call(images.mongodb, options=("--env", "MONGODB_PASS=secret"))
    assert done.returncode == 1
    assert "Set AUTH=no" in done.stderr
    assert "secret" not in done.stderr
