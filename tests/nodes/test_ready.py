"""What is said of a container that never is ready, by a fake engine that learns late that it has ended."""

from types import SimpleNamespace

import pytest

from dgrid.errors import EngineError, ReadyError
from dgrid.nodes.engine import ContainerState
from dgrid.nodes.ready import wait_ready
from dgrid.plan.definition import Ready

RUNNING = ContainerState("c1", "w", running=True, exit_code=None, pid=4711, out_of_memory=False, error="")
ENDED = ContainerState("c1", "w", running=False, exit_code=7, pid=0, out_of_memory=False, error="")


class FakeEngine:
    """An engine whose container has ended; for its first answers it does not know that yet."""

    def __init__(self, late_answers: int) -> None:
        self.late_answers = late_answers

    def state(self, container_id: str) -> ContainerState:
        self.late_answers -= 1
        return RUNNING if self.late_answers >= 0 else ENDED

    def execute(self, *args: object) -> int:
        raise EngineError("node1", "the container has no process")

    def follow_log(self, container_id: str) -> SimpleNamespace:
        return SimpleNamespace(text_contains=lambda text: False, close=lambda: None)

    def tail(self, container_id: str, lines: int) -> str:
        return "cannot open the port\n"


class FakeLink:
    """A link on which every command fails, as where a process is gone."""

    def run(self, script: str, timeout_s: float) -> SimpleNamespace:
        return SimpleNamespace(exit_code=1)


def wait_for(ready: Ready, late_answers: int) -> str:
    node = SimpleNamespace(name="node1")
    instance = SimpleNamespace(
        name="w", node=node, container=SimpleNamespace(ready=ready, image="stock"), request=SimpleNamespace(user="1:1")
    )
    machine = SimpleNamespace(link=FakeLink(), engine=FakeEngine(late_answers))
    with pytest.raises(ReadyError) as error:
        wait_ready(instance, "c1", SimpleNamespace(machine=lambda node: machine))
    return error.value.what


@pytest.mark.parametrize(
    ("ready", "late_answers"),
    [
        (Ready(tcp=5000, timeout_s=20), 3),
        (Ready(log="serving", timeout_s=20), 2),
        (Ready(command=("true",), timeout_s=20), 2),
    ],
    ids=["tcp", "log", "command"],
)
def test_an_end_the_engine_learns_late_is_an_end(ready, late_answers):
    """The processes are gone before the engine says so; that its time is over would not be true."""
    told = wait_for(ready, late_answers)
    assert told == "w ended with exit code 7 before it was ready; its last line: cannot open the port"


def test_a_container_that_cannot_be_seen_is_not_said_to_be_late():
    """As where /proc shows nobody the processes of others."""
    told = wait_for(Ready(tcp=5000, timeout_s=20), late_answers=1000)
    assert told == (
        "cannot see whether w is ready: its process is not to be seen in /proc there, but the engine says that it runs"
    )


def test_one_that_is_late_is_said_to_be():
    told = wait_for(Ready(log="serving", timeout_s=0.5), late_answers=1000)
    assert told.startswith("w is not ready after 0.5 s: its log does not say 'serving'")
