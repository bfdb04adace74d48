"""What `dgrid lab run` and `logs` take for theirs and what for the command's, with an engine that is made up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import dgrid
from made_up_engine import Engine, made_up

from dgrid.lab.shape import Shape, lab_users


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with made_up(tmp_path) as (engine, machine):
        monkeypatch.setenv("DOCKER_HOST", machine.base_url)
        people = lab_users("eve", 1000, 100)
        engine.has_lab(Shape("lab", 1, users=people))
        engine.has_lab(Shape("x", 2, users=people), node2="exited")
        yield engine


@pytest.mark.parametrize(
    ("given", "lab", "host", "command"),
    [
        (["sacct", "--name", "myjob"], "lab", "front", None),
        (["docker", "run", "--help"], "lab", "front", None),
        (["ls", "-l", "--", "-x"], "lab", "front", None),
        (["--", "qsub", "--on", "node2"], "lab", "front", ["qsub", "--on", "node2"]),
        (["--name", "x", "--on", "node1", "--as", "root", "--", "docker", "ps"], "x", "node1", ["docker", "ps"]),
        (["--name", "x", "--on", "node1", "hostname", "--on"], "x", "node1", ["hostname", "--on"]),
    ],
)
def test_options_after_the_command_are_the_commands(
    engine: Engine, given: list[str], lab: str, host: str, command: list[str] | None
) -> None:
    """With -- and without; those before it are dgrid's."""
    done = dgrid("lab", "run", *given)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    ((ran_on, argv),) = engine.commands
    (asked,) = (request for request in engine.asked("POST") if request.endswith("/exec"))
    assert (ran_on, argv[argv.index("lab") + 1 :]) == (host, command or given)
    assert asked.endswith(f"-dgrid-lab-{lab}-{host}/exec")


def test_an_option_that_run_does_not_have(engine: Engine) -> None:
    """It is no command."""
    done = dgrid("lab", "run", "--nmae", "x", "hostname")
    assert (done.returncode, engine.commands) == (2, [])
    assert "No such option" in done.stderr


def test_following_what_cannot_be_followed(engine: Engine) -> None:
    """The start script's output is no file on the host: it is refused before anything is run for it."""
    engine.output = lambda argv: b"/var/log/syslog\n" if argv[0] == "bash" else b""
    done = dgrid("lab", "logs", "--name", "x", "-f", "node1", "start")
    assert (done.returncode, done.stderr) == (
        2,
        "dgrid: start is no file of node1's, and cannot be followed; show it without --follow, or follow another log\n",
    )
    followed = dgrid("lab", "logs", "--name", "x", "-f", "node1")
    assert (followed.returncode, engine.commands[-1][1][-3:]) == (0, ["20", "-F", "/var/log/syslog"])


def test_following_the_logs_of_a_dead_host(engine: Engine) -> None:
    """It is named, with its state."""
    done = dgrid("lab", "logs", "--name", "x", "-f", "node2")
    assert (done.returncode, done.stderr) == (125, "dgrid: node2 of lab x is not running but exited\n")
    assert engine.commands == []
