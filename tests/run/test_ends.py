"""However a run ends, nothing of it is left on any node, and the message names the node and the cause."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import IMAGE, Jobs, head, shell, worker

pytestmark = pytest.mark.lab

UP = "until pgrep -fx 'bash -c trap.*' >/dev/null; do sleep 0.2; done; sleep 1"
"""Shell words that wait until the head's script runs."""
GONE = (
    "docker ps -aqf label=io.dgrid.session | xargs -r docker rm -f; "
    "for i in 1 2 3 4 5 6 7; do docker network ls -qf label=io.dgrid.session | xargs -r docker network rm && break; "
    "sleep 1; done; true"
)
"""Shell words that remove what is left of any run."""
INTERRUPT = Path(__file__).with_name("interrupt_at.py")


def test_normal_end(jobs: Jobs) -> None:
    """Workers that would go on for ever are gone when the head has ended."""
    assert jobs.run(head("true"), worker("w", scale=2)).code == 0
    assert jobs.left() == []


def test_failing_head(jobs: Jobs) -> None:
    """A failing head's run leaves nothing either."""
    assert jobs.run(head("false"), worker("w")).code == 1
    assert jobs.left() == []


def test_image_missing_on_one_node(jobs: Jobs) -> None:
    """A missing image is told with its node, before anything is created."""
    ended = jobs.run(head("true"), worker("w"), worker("x", image="localhost/no-such:1"))
    assert ended.code == 125
    assert f"{jobs.lab.nodes[2]}: the image localhost/no-such:1 is not there and cannot be pulled" in ended.err
    assert jobs.left() == []


def test_pull_never(jobs: Jobs) -> None:
    """--pull never says what to do instead of fetching."""
    ended = jobs.run(head("true", image="localhost/no-such:1"), options="--pull never")
    assert ended.code == 125
    assert "--pull never" in ended.err


def test_one_name_two_images(docker_jobs: Jobs) -> None:
    """Nodes with different images under one name are refused and named; an option lets the user go on."""
    for node in docker_jobs.lab.nodes[:2]:
        docker_jobs.lab.run(
            ["sh", "-c", f"printf 'FROM {IMAGE}\\nLABEL on={node}\\n' | docker build -q -t localhost/same:1 -"],
            host=node, check=True,
        )  # fmt: skip
    job = (head("true", image="localhost/same:1"), worker("w", image="localhost/same:1"))
    ended = docker_jobs.run(*job)
    assert ended.code == 125
    assert "localhost/same:1" in ended.err
    assert docker_jobs.lab.nodes[0] in ended.err
    assert docker_jobs.lab.nodes[1] in ended.err
    assert docker_jobs.run(*job, options="--allow-different-images").code == 0
    assert docker_jobs.left() == []


def test_bad_mount_on_one_node(jobs: Jobs) -> None:
    """A mount source that one node lacks is told with that node; the others are not named."""
    first, second = jobs.lab.nodes[:2]
    jobs.lab.run(["mkdir", "-p", "/var/tmp/only-here"], host=first, check=True)
    volumes = ["/var/tmp/only-here:/data"]
    ended = jobs.run(head("true", volumes=volumes), worker("w", volumes=volumes))
    assert ended.code == 125
    assert f"{second}: volumes: /var/tmp/only-here does not exist there" in ended.err
    assert f"{first}:" not in ended.err
    assert jobs.left() == []


def test_unreachable_nodes_are_all_named(jobs: Jobs) -> None:
    """Every node that cannot be reached is in one message, not only the first."""
    nodes = (jobs.lab.nodes[0], "nowhere1", jobs.lab.nodes[1], "nowhere2")
    ended = jobs.run(head("true"), worker("w", scale=3), nodes=nodes)
    assert ended.code == 125
    assert "the name nowhere1 does not resolve" in ended.err
    assert "the name nowhere2 does not resolve" in ended.err
    assert jobs.left() == []


def test_worker_dying_before_it_is_ready(jobs: Jobs) -> None:
    """A worker that ends before it is ready ends the run, with its exit code, name and node."""
    ended = jobs.run(head("true"), worker("w", *shell("exit 4"), ready={"tcp": 5000}))
    assert ended.code == 125
    assert f"{jobs.lab.nodes[1]}: w ended with exit code 4 before it was ready" in ended.err
    assert jobs.left() == []


def test_worker_that_never_gets_ready(jobs: Jobs) -> None:
    """When the time for getting ready is over, the message says what was awaited and how to give more time."""
    ended = jobs.run(head("true"), worker("w", ready={"tcp": 5000, "timeout_s": 1}))
    assert ended.code == 125
    assert "w is not ready after 1 s: nothing listens on its port 5000" in ended.err
    assert "timeout_s" in ended.err


def test_failing_worker_is_reported_with_its_last_lines(jobs: Jobs) -> None:
    """By default a failing worker's last 20 lines are shown, and the run goes on."""
    ended = jobs.run(head("sleep", "3"), worker("w", *shell("seq 30; exit 9")))
    assert ended.code == 0
    assert f"{jobs.lab.nodes[1]}: w ended with exit code 9" in ended.err
    shown = [line.removeprefix("  | ") for line in ended.err.splitlines() if line.startswith("  | ")]
    assert shown == [str(number) for number in range(11, 31)]


def test_fail_run(jobs: Jobs) -> None:
    """With failure_policy "fail_run" a failing worker ends the run with 125."""
    ended = jobs.run(head("sleep", "60"), worker("w", *shell("exit 9"), failure_policy="fail_run"))
    assert ended.code == 125
    assert 'w ended with exit code 9, and its failure_policy is "fail_run"' in ended.err
    assert jobs.left() == []


def test_restart(jobs: Jobs) -> None:
    """With failure_policy "restart" a failing worker is started again, as often as allowed."""
    ended = jobs.run(
        head("sleep", "4"), worker("w", *shell("echo once; exit 9"), failure_policy="restart", max_restarts=2)
    )
    assert ended.code == 0
    assert "starting it again (2 of 2)" in ended.err
    assert ended.err.count("| once") == 3


def test_out_of_memory_is_said(docker_jobs: Jobs) -> None:
    """A worker killed at its memory limit is told so, with the limit, and not only as 137."""
    eater = ("perl", "-e", "$$x = 'a' x 200000000; sleep 9")
    hungry = worker("w", *eater, resources={"memory": "20m"}, failure_policy="fail_run")
    ended = docker_jobs.run(head("sleep", "60"), hungry)
    assert "w was killed because it used up its limit of 20m" in ended.err


@pytest.mark.parametrize("phase", ["checking", "images on", "creating", "starting", "head runs on", "removing"])
def test_ctrl_c_in_each_phase(jobs: Jobs, phase: str) -> None:
    """Interrupted in any phase, dgrid ends with 130 and leaves nothing."""
    options = jobs.write(head("sleep", "60" if phase != "removing" else "0"), worker("w", scale=2))
    done = jobs.run_at(INTERRUPT, "SIGINT", f"dgrid: {phase}", options)
    said = done.stdout.decode()
    assert f"sent dgrid: {phase}" in said
    assert done.returncode == (0 if phase == "removing" else 130), said
    assert jobs.left() == []


@pytest.mark.parametrize("phase", ["starting", "head runs on", "removing"])
def test_terminal_that_goes_away(jobs: Jobs, phase: str) -> None:
    """When the terminal goes away, the run ends with 129 (SIGHUP) and still leaves nothing."""
    options = jobs.write(head("sleep", "60" if phase != "removing" else "0"), worker("w", scale=2))
    done = jobs.run_at(INTERRUPT, "CLOSE", f"dgrid: {phase}", options)
    assert done.returncode == (0 if phase == "removing" else 129)
    assert jobs.left() == []


@pytest.mark.parametrize(("signal", "code"), [("TERM", 143), ("HUP", 129), ("INT", 130)])
def test_signal_reaches_the_head(jobs: Jobs, signal: str, code: int) -> None:
    """A signal is passed on to the head, which may still say something; then the run ends with 128+n."""
    options = jobs.write(
        head(*shell(f"trap 'echo heard; exit 5' {signal}; echo up; while :; do sleep 0.1; done")), worker("w")
    )
    script = f"dgrid {options} & {UP}; kill -{signal} $!; wait $!"
    done = jobs.lab.run(["bash", "-c", f"set -m; {script}"], host=jobs.lab.nodes[0])
    assert done.returncode == code
    assert done.stdout.decode().split() == ["up", "heard"]
    assert jobs.left() == []


def test_second_signal_ends_at_once(jobs: Jobs) -> None:
    """Containers that ignore the first signal are killed at the second."""
    stubborn = shell("trap '' TERM INT; while :; do sleep 0.1; done")
    options = jobs.write(head(*stubborn), worker("w", *stubborn))
    script = (
        f"dgrid {options} & {UP}; "
        "kill -TERM $!; sleep 1; kill -TERM $!; start=$(date +%s); wait $!; echo $? $(( $(date +%s) - start < 5 ))"
    )
    done = jobs.lab.run(["bash", "-c", script], host=jobs.lab.nodes[0])
    assert done.stdout.decode().split() == ["143", "1"]
    assert jobs.left() == []


def test_wrong_use_ends_with_2(jobs: Jobs) -> None:
    """A definition that is missing, an allocation without this machine: exit code 2, before any node is asked."""
    assert jobs.dgrid("--dockdef=/nope.json").code == 2
    ended = jobs.run(head("true"), nodes=jobs.lab.nodes[1:])
    assert ended.code == 2
    assert jobs.lab.nodes[0] in ended.err


def test_a_reader_that_sleeps_does_not_hold_up_the_end(docker_jobs: Jobs) -> None:
    """Docker does not answer for a container whose output nobody takes; a signal ends the run within its grace."""
    options = docker_jobs.write(head("yes", stop_grace_s=2))
    script = f"mkfifo stuck; sleep 60 < stuck & dgrid {options} > stuck & sleep 6; kill $!; SECONDS=0; wait $!;"
    ended = docker_jobs.dgrid("", before=f"cd $(mktemp -d); {script} echo $? $SECONDS; kill %1; exit;")
    code, seconds = ended.text.split()
    assert code == "143"
    assert int(seconds) < 15
    assert docker_jobs.left() == []


def test_second_signal_does_not_wait_for_an_engine_that_hangs(docker_jobs: Jobs) -> None:
    """The node whose engine hangs is named, and the run ends without waiting for its answers."""
    stuck = docker_jobs.lab.nodes[1]
    options = docker_jobs.write(head(*shell("trap 'exit 0' TERM; while :; do sleep 0.1; done")), worker("w"))
    docker_jobs.lab.run(["sh", "-c", "(sleep 12; kill -STOP $(pidof dockerd); sleep 40; kill -CONT $(pidof dockerd)) "
                         ">/dev/null 2>&1 &"], host=stuck, user="root", check=True)  # fmt: skip
    ended = docker_jobs.dgrid(
        "", before=f"dgrid {options} & sleep 14; kill $!; sleep 3; kill $!; SECONDS=0; wait $!; echo $? $SECONDS; exit;"
    )
    docker_jobs.lab.run(["sh", "-c", "kill -CONT $(pidof dockerd)"], host=stuck, user="root", check=True)
    for node in (stuck, docker_jobs.lab.nodes[0]):  # given up by dgrid, so maybe still there
        docker_jobs.lab.run(["sh", "-c", GONE], host=node, check=True)
    code, seconds = ended.text.split()
    assert code == "143"
    assert int(seconds) < 25
    assert f"{stuck}: its engine did not remove all soon after the second signal" in ended.err
