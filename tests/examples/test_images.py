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
    """Without the run's key there is no way in: no password, no other method."""
    worker = hand.run("worker", images.pyssh)
    options = ("-o", "ConnectionAttempts=20", "-o", "IdentitiesOnly=yes", "-o", "IdentityFile=none")
    done = hand.call(
        images.pyssh, "ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-p", "2222", *options, worker, "id"
    )
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


@pytest.mark.parametrize("name", ["pyssh", "openmpi"])
def test_server_without_a_runs_keys_says_where_they_come_from(images: Images, name: str) -> None:
    """Started without dgrid, or with "ssh": false, the server says so and ends with 1."""
    done = docker("run", "--rm", "--user", f"{UID}:{UID}", getattr(images, name), check=False)
    assert done.returncode == 1
    assert "serve-ssh: /dgrid/ssh/sshd_config is not there" in done.stderr
    assert '"ssh": false' in done.stderr


@pytest.mark.parametrize("name", ["pyssh", "openmpi"])
def test_no_private_key_is_in_an_image(images: Images, name: str) -> None:
    """Neither the packages' host keys nor any other file of a private key's looks."""
    search = "grep -rlsI -e '-----BEGIN [A-Z ]*PRIVATE KEY-----' /etc /home /root /var /run /srv /opt /dgrid || true"
    done = docker("run", "--rm", "--user", "0:0", getattr(images, name), "sh", "-c", search)
    assert done.stdout == ""


@pytest.mark.parametrize(("name", "user"), [("pyssh", str(UID)), ("mongodb", str(UID)), ("openmpi", "1000")])
def test_image_asks_for_no_root_and_no_volume(images: Images, name: str, user: str) -> None:
    """The image's user is an ordinary one, and it declares no volume, which would belong to root."""
    settings = json.loads(docker("image", "inspect", getattr(images, name)).stdout)[0]["Config"]
    assert settings["User"].split(":")[0] == user
    assert not settings["Volumes"]


def test_an_image_for_nobody_in_particular_runs_as_anybody(hand: Hand, images: Images) -> None:
    """Built without any argument, pyssh serves whoever runs it, if only their account is there, as dgrid sees to."""
    image = "localhost/dgridtest/dgrid.pyssh-for-all"
    docker("build", "--force-rm", "--network", "host", "--tag", image, IMAGES / "pyssh")
    assert json.loads(docker("image", "inspect", image).stdout)[0]["Config"]["User"] == "1000:1000"
    account = hand.keys / "passwd"
    account.write_text(f"dgridtest:x:{UID}:{UID}::/tmp:/bin/sh\n")
    known = ("--volume", f"{account}:/etc/passwd:ro")
    worker = hand.run("worker", image, options=known)
    done = hand.call(image, "ssh", "-o", "ConnectionAttempts=20", worker, "id -u", options=known)
    assert done.stdout == f"{UID}\n", done.stderr + hand.logs("worker")


@pytest.mark.parametrize("directory", ["pyssh", "dgrid.mongodb"])
@pytest.mark.parametrize("arguments", [("USER=root", "UID=0"), ("UID=0",), ("USER=root",)])
def test_building_for_root_is_refused(images: Images, directory: str, arguments: tuple[str, ...]) -> None:
    """For root the build fails, and says what to give."""
    build = [part for argument in arguments for part in ("--build-arg", argument)]
    file = sorted((IMAGES / directory).glob("Dockerfile*"))[-1]
    done = docker("build", "--force-rm", "--network", "host", *build, "--file", file, IMAGES / directory, check=False)
    assert done.returncode != 0
    assert "--build-arg USER=$USER --build-arg UID=$(id -u), or neither" in done.stdout + done.stderr


def test_standin_refuses_to_keep_secrets(hand: Hand, images: Images) -> None:
    """Asked for passwords, which it has not, the stand-in does not start without them but says what to do."""
    done = hand.call(images.mongodb, options=("--env", "MONGODB_PASS=secret"))
    assert done.returncode == 1
    assert "Set AUTH=no" in done.stderr
    assert "secret" not in done.stderr
