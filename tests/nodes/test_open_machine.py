"""What is told of this machine when its engine answers nobody."""

import os
import socket
import time

import pytest

from dgrid.config import Settings
from dgrid.errors import EngineTimeout, NodeCheckError
from dgrid.nodes.link import LinkKind
from dgrid.nodes.machine import open_machine
from dgrid.nodes.open_link import LinkOpener
from dgrid.plan.allocation import Node


@pytest.fixture
def silent_engine(tmp_path):
    """Settings with the socket of an engine that never answers."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "engine"))
        listening.listen()
        yield Settings(engine_socket=str(tmp_path / "engine"), call_timeout_s=0.5)


def open_here(settings, sources=()):
    return open_machine((Node("here", 1, True),), os.getuid(), settings, LinkOpener(LinkKind.AUTO, 5), sources)


def test_an_engine_that_hangs_hides_no_mistake(silent_engine):
    """It is met while the machine is looked at; what the look finds does not wait for it."""
    settings = Settings(engine_socket=silent_engine.engine_socket, call_timeout_s=30)
    began = time.monotonic()
    with pytest.raises(NodeCheckError, match="/no/such/volume does not exist there"):
        open_here(settings, ("/no/such/volume",))
    assert time.monotonic() - began < 20


def test_an_engine_that_hangs_is_waited_for_once(silent_engine):
    with pytest.raises(EngineTimeout, match="did not answer in time"):
        open_here(silent_engine)
