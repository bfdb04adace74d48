"""The examples' scripts as their users start them, the stand-in for MongoDB, and the images on a real engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from by_hand import IMAGES, MAIL_RELAYS, UID, Hand, Images, Records, docker
from pymongo import MongoClient

from dgrid.lab.machine import DEFAULT_ENGINE, machine_at
from dgrid.lab.node_image import ensure_base
from dgrid.nodes.run_keys import make_run_keys
from dgrid.plan.ssh import ssh_files


@pytest.fixture(scope="session")
def make_records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Runs make_logins.py with the given arguments; the file with its output."""

    def make(*arguments: str) -> Path:
        path = tmp_path_factory.mktemp("records") / "logins.bson"
        with path.open("wb") as file:
            subprocess.run([sys.executable, MAIL_RELAYS / "make_logins.py", *arguments], stdout=file, check=True)
        path.chmod(0o644)
        return path

    return make


@pytest.fixture
def standin() -> Iterator[str]:
    """A running stand-in for MongoDB: its host:port."""
    command = [sys.executable, "-u", IMAGES / "dgrid.mongodb/mongo_standin.py", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        port = re.search(r"port (\d+)", process.stdout.readline())
        assert port
        yield f"127.0.0.1:{port[1]}"
        process.terminate()


@pytest.fixture
def client(standin: str) -> Iterator[MongoClient]:
    """A real MongoDB driver, connected to the stand-in."""
    with MongoClient(standin, serverSelectionTimeoutMS=5000) as client:
        yield client


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files for ssh that dgrid would place, for every host there is; a directory that stands for /."""
    root = tmp_path_factory.mktemp("keys")
    root.chmod(0o755)
    for file in ssh_files(make_run_keys("by-hand"), "dgridtest", 2222, ["*"]):
        path = root / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content or b"")
        path.chmod(file.mode)
        os.chown(path, UID, UID)
    return root


@pytest.fixture
def hand(keys: Path) -> Iterator[Hand]:
    """A network for this test alone; at the end it and all its containers are removed."""
    name = f"dgrid-examples-{uuid.uuid4().hex[:8]}"
    docker("network", "create", name)
    try:
        yield Hand(name, keys)
    finally:
        if left := docker("ps", "--all", "--quiet", "--filter", f"label={name}").stdout.split():
            docker("rm", "--force", "--volumes", *left)
        docker("network", "rm", name)


@pytest.fixture(scope="session")
def base() -> None:
    """The images' base image is on this machine."""
    ensure_base(machine_at(DEFAULT_ENGINE), print)


@pytest.fixture(scope="session")
def images(base: None) -> Images:
    """The images as setup.sh builds them, with the stand-in for MongoDB. They stay: the next time is faster."""
    settings = {"FOR_USER": "dgridtest", "FOR_UID": str(UID), "MONGODB": "standin", "BUILD_ARGS": "--network host"}
    command = [str(MAIL_RELAYS / "setup.sh"), "images"]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "stand-in for MongoDB, not MongoDB" in done.stdout
    docker("build", "--network", "host", "--tag", Images.openmpi, IMAGES / "openmpi")
    return Images()
