"""`dgrid image` as an ordinary user on nodes of a lab."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.lab

DOCKERFILE = "FROM debian:trixie-slim\nARG USER1\nARG UID1\nRUN echo made for $USER1 > /who\nUSER $UID1\nCMD cat /who\n"


def test_an_image_is_built_checked_listed_and_removed(docker_lab):
    """By the lab's user on a node; stdout has the results only, and the image's arguments are the user's."""
    lab, node = docker_lab, docker_lab.nodes[0]
    lab.write("mine/Dockerfile", DOCKERFILE)
    built = lab.run(["dgrid", "image", "build", "mine"], host=node, check=True)
    assert built.stdout == b"localhost/alice/mine:latest\n"
    assert b"from your account: USER1=alice UID1=" in built.stderr
    assert lab.text("docker run --rm localhost/alice/mine", host=node) == "made for alice"
    (listed,) = [one for one in json.loads(lab.text("dgrid image list --json", host=node)) if "mine" in one["name"]]
    assert listed["name"] == "localhost/alice/mine:latest"
    assert lab.text("dgrid image check alice/mine", host=node) == "alice/mine: nothing found that would fail"
    lab.run(["dgrid", "image", "remove", "mine"], host=node, check=True)
    assert lab.engine(node).image_id("localhost/alice/mine") == ""


def test_on_a_machine_without_an_engine_a_node_builds(docker_lab):
    """The frontend has no Docker: the first node of the node file has, and the user is told."""
    lab = docker_lab
    lab.write("mine/Dockerfile", DOCKERFILE)
    lab.write("nodes", "\n".join(lab.nodes) + "\n")
    built = lab.run("dgrid image build mine --engine docker --hostfile nodes", check=True)
    assert f"this machine has no engine for you; using that of {lab.nodes[0]}".encode() in built.stderr
    assert lab.engine(lab.nodes[0]).image_id("localhost/alice/mine") != ""
    lab.run("dgrid image remove mine --engine docker --hostfile nodes", check=True)


@pytest.mark.parametrize(
    ("body", "code"), [("FROM debian:trixie-slim\n", 0), ("FROM debian:trixie-slim\nCMD sudo x\n", 1), ("FORM x\n", 2)]
)
def test_check_ends_with_1_if_something_will_fail(docker_lab, body, code):
    """0 for warnings alone, 2 for a file that cannot be read; --json has the findings on stdout."""
    docker_lab.write("checked/Dockerfile", body)
    done = docker_lab.run(["dgrid", "image", "check", "--json", "checked"])
    assert done.returncode == code, done.stderr
    if code < 2:
        found = json.loads(done.stdout)
        assert (found["errors"], found["findings"][0]["rule"]) == (code, "user")
    else:
        assert done.stderr.decode().startswith(
            "checked/Dockerfile:1: there is no instruction FORM — did you mean FROM?"
        )


def test_root_is_refused(docker_lab):
    """Images are built for the user who runs them, and root runs none."""
    done = docker_lab.run(["dgrid", "image", "build", "."], user="root")
    assert done.returncode == 2
    assert b"dgrid does not run as root" in done.stderr
