"""Looking into a running job: from its nodes and from the frontend, without disturbing it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import Cluster
from jobs import Ended, Jobs, head, shell, worker

pytestmark = pytest.mark.lab

# Says what it reads; "end" ends it, "flood" makes it write 20 MB.
HEAD = shell(
    "echo begun; while read -r line; do [ $line = end ] && exit 5; echo got $line; "
    "[ $line = flood ] && head -c 20000000 /dev/zero; done; sleep 300"
)
NODES = ("node1", "node2", "node3")


@dataclass(frozen=True)
class Running:
    """A run that goes on; its dgrid was started in ``directory``, on the first node."""

    lab: Cluster
    directory: str
    job: str = ""

    def look(self, command: str, host: str = "node2", user: str | None = None, before: str = "") -> Ended:
        """Runs ``dgrid`` with a command line on any host."""
        done = self.lab.run(f"{before} dgrid {command}", host=host, user=user)
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    def rows(self, options: str = "", host: str = "node2") -> dict[str, dict[str, str | int | None]]:
        """What ``dgrid ps`` says of each container, by name."""
        return {row["name"]: row for row in json.loads(self.look(f"ps --json {options}", host).out)}

    def type_at(self, steps: list[tuple[str, str]], command: str, host: str = "node2") -> Ended:
        """Runs dgrid at a terminal, with a person who waits for texts and types."""
        script = Path(__file__).with_name("look_at.py")
        self.lab.write(script.name, script.read_text(), host=host)
        argv = ["python3", script.name, json.dumps(steps), "dgrid", *command.split()]
        done = self.lab.run(argv, host=host)
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    def say(self, line: str) -> None:
        """Gives the head a line, by the stdin of its own dgrid."""
        self.lab.run(f"echo {line} > {self.directory}/in", check=True, host="node1")

    def wait_for(self, file: str, text: str) -> None:
        """Waits until the file holds the text; the head's output, dgrid's messages, its exit code are in such."""
        script = f"for _ in $(seq 150); do grep -aq '{text}' {file} 2>/dev/null && exit; sleep 0.1; done; exit 1"
        done = self.lab.run(f"cd {self.directory} && ({script})", host="node1")
        assert done.returncode == 0, self.lab.text(f"cd {self.directory}; head -c 2000 out err")


@pytest.fixture(scope="module")
def job(docker_lab: Cluster) -> Iterator[Running]:
    """A job of the batch system, on three nodes: its head reads, same-* wait, ticker talks, once has ended with 3."""
    docker_lab.wait_idle()  # a job gets the first nodes then
    directory = _written(Jobs(docker_lab, "docker"), NODES, scale=3)
    script = f"#PBS -l nodes=3:ppn=3\ncd {directory}; exec 3<>in; exec dgrid --dockdef=job.json <&3 >out 2>err\n"
    running = Running(docker_lab, directory, docker_lab.qsub(f"#!/bin/bash\n{script}"))
    running.wait_for("out", "begun")
    running.wait_for("err", "exit code 3")
    yield running
    docker_lab.run(["qdel", running.job])
    docker_lab.wait_job(running.job)


def _written(jobs: Jobs, nodes: tuple[str, ...], scale: int) -> str:
    options = jobs.write(
        head(*HEAD),
        worker("same", *shell("echo ready; echo it is me >&2; sleep 300"), scale=scale),
        worker("ticker", *shell("while echo tick; do sleep 1; done")),
        worker("once", *shell("echo out; echo err >&2; exit 3"), failure_policy="report"),
        nodes=tuple(node for node in nodes for _ in range(3)),
    )
    directory = options.rpartition("=")[2].rpartition("/")[0]
    jobs.lab.run(f"cd {directory} && rm -f in out err code attached read seen && mkfifo in", check=True)
    return directory


def started(jobs: Jobs, scale: int = 1) -> Running:
    """A run outside any job; the file ``code`` gets its exit code."""
    directory = _written(jobs, NODES[:2], scale)
    run = "exec 3<>in; dgrid --hostfile=nodes --dockdef=job.json <&3 >out 2>err; echo code $? >code"
    jobs.lab.run(f"cd {directory}; (nohup bash -c '{run}' >/dev/null 2>&1 &)", host="node1", check=True)
    running = Running(jobs.lab, directory)
    running.wait_for("out", "begun")
    return running


def test_ps_shows_the_same_from_everywhere(job: Running) -> None:
    """By the job's id from the frontend, from any of its nodes, and from within the job: all nodes, in plan order."""
    from_front = job.look(f"ps --job {job.job}", "front")
    table = [line.split() for line in from_front.text.splitlines()]
    assert table[0] == ["NODE", "NAME", "STATE", "AGE", "IMAGE", "JOB", "SESSION"]
    names = [line[1] for line in table[1:]]
    assert (names[0], sorted(names)) == ("head", ["head", "once", "same-1", "same-2", "same-3", "ticker"])
    assert [line[0] for line in table[1:]] == sorted(line[0] for line in table[1:])
    inside = job.look("ps --json", "node1", before=f"PBS_JOBID={job.job} PBS_NODEFILE={job.directory}/nodes")
    for rows in (job.rows(), job.rows(host="node3"), {row["name"]: row for row in json.loads(inside.out)}):
        assert list(rows) == names
        assert {row["job"] for row in rows.values()} == {job.job}
    once = job.rows()["once"]
    assert (once["state"], once["exit_code"], once["out_of_memory"]) == ("exited", 3, False)
    assert "exited (3)" in from_front.text


def test_a_bad_node_hides_no_other(job: Running) -> None:
    """What the others say is on stdout; the bad one is named; and the exit code is 125."""
    ended = job.look("ps -w nowhere,node[1-2]")
    assert (ended.code, ended.err) == (
        125,
        "dgrid: nowhere: the name nowhere does not resolve (Name or service not known)\n",
    )
    assert {line.split()[0] for line in ended.text.splitlines()[1:]} == {"node1", "node2"}
    assert job.look("exec -w nowhere,node1 head true").code == 125


def test_runs_of_others_are_not_seen(job: Running) -> None:
    """Neither by another user, who has a run of nobody, nor in part; root sees all, if it asks for that."""
    others = job.look("ps -w node[1-3]", user="bob")
    assert (others.code, others.text) == (0, "")
    assert "you have no such run on node[1-3]" in others.err
    assert job.look("logs same", user="bob").code == 2
    assert job.look("ps --all-users", "node1").code == 2
    assert "alice" in job.look("ps --all-users -w node1", "node1", user="root").text


def test_same_output_comes_once_under_folded_names(job: Running) -> None:
    """Of logs, and of a command that runs in several containers, as the user who submitted the job."""
    ended = job.look("logs same once")
    assert (ended.text, ended.err) == ("once:\nout\nsame-[1-3]:\nready\n", "once:\nerr\nsame-[1-3]:\nit is me\n")
    ended = job.look("exec same id -un")
    assert (ended.code, ended.text) == (0, "same-[1-3]:\nalice\n")
    ended = job.look("exec same bash -c 'echo no >&2; exit $DGRID_INDEX'")
    assert (ended.code, ended.out, ended.err) == (3, b"", "same-[1-3]:\nno\n")


def test_the_log_of_one_container_comes_as_it_is(job: Running) -> None:
    """stdout to stdout, stderr to stderr; its last lines; or as lines of JSON."""
    ended = job.look("logs same-2")
    assert (ended.text, ended.err) == ("ready\n", "it is me\n")
    assert job.look("logs --tail 2 ticker").text == "tick\ntick\n"
    lines = [json.loads(line) for line in job.look("logs --json once").text.splitlines()]
    assert {(one["name"], one["stream"], one["line"]) for one in lines} == {
        ("once", "stdout", "out"),
        ("once", "stderr", "err"),
    }


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("logs head", 2, "its output is dgrid's own stdout and stderr, so it is in the job's output file"),
        ("exec once true", 125, "once does not run (it is exited)"),
        ("exec -i same cat", 2, "-i and -t are for one container, and same is 3"),
        ("exec -it head bash", 2, "-t needs a terminal on stdin and stdout"),
        ("exec head nosuch", 127, "not found"),
        ("ps --job 99999", 2, "--job 99999: its nodes are unknown (squeue: slurm_load_jobs error"),
        ("ps -w node[1-", 2, "write nodes as in node[1-4,7]"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told(job: Running, command: str, code: int, message: str) -> None:
    """With what to do instead."""
    ended = job.look(command)
    assert ended.code == code
    assert message in ended.err


def test_exec_is_the_command(job: Running) -> None:
    """Its stdin, stdout, stderr and exit code; and a signal ends it in the container, too."""
    ended = job.look("exec -i same-1 bash -c 'cat; echo err >&2; exit 7'", before="echo text |")
    assert (ended.code, ended.text, ended.err) == (7, "text\n", "err\n")
    assert (
        job.look("exec same bash -c 'sleep 1234; true'", before="timeout -s TERM 3").err == "dgrid: ended by SIGTERM\n"
    )
    left = job.look("exec same bash -c 'cat /proc/[0-9]*/cmdline | tr -d \"\\0\" | grep -c sleep[1]234'")
    assert left.text == "same-[1-3]:\n0\n"


def test_exec_at_a_terminal(job: Running) -> None:
    """A terminal inside, whose size follows; ctrl-C is for the command."""
    steps = [("$ ", "stty size\r"), ("40 100", "RESIZE"), ("", "stty size\r"),
             ("50 120", "echo $((40 + 2)); sleep 99\r"), ("42\r\n", "\x03"), ("$ ", "exit 9\r")]  # fmt: skip
    ended = job.type_at(steps, "exec -it head bash --norc")
    assert ended.code == 9, ended.text


def test_top_shows_what_is_used(job: Running) -> None:
    """A busy container's CPU, everybody's memory, of running containers on all nodes; live at a terminal."""
    busy = "(timeout 15 bash -c 'while :; do :; done' >/dev/null 2>&1 &)"
    assert job.look(f'exec same-1 bash -c "{busy}"').code == 0
    rows = {row["name"]: row for row in json.loads(job.look("top --json").out)}
    assert set(rows) == {"head", "same-1", "same-2", "same-3", "ticker"}
    assert rows["same-1"]["cpu_percent"] > 10 > rows["same-2"]["cpu_percent"]
    assert all(0 < row["memory_bytes"] < row["limit_bytes"] for row in rows.values())
    ended = job.type_at([("SENT", ""), ("SENT", "\x03")], "top --interval 0.5")
    assert ended.code == 0, ended.text
    assert "5 of 6 containers running" in ended.text


def test_logs_are_followed_until_ctrl_c(job: Running) -> None:
    """Each line begins with the name."""
    steps = [("same-1: it is me", ""), ("ticker: tick", ""), ("ticker: tick", "\x03")]
    ended = job.type_at(steps, "logs -f --tail 2 ticker same")
    assert ended.code == 0, ended.text
    assert "same-1: it is me" in ended.text


def test_attaching_again_and_leaving_does_not_disturb_the_run(job: Running) -> None:
    """Output from now on; ctrl-C leaves; a reader that stops does not stop the head, whose own stdin goes on, too."""
    ended = job.type_at([("attached to head", "\x03")], "attach")
    assert (ended.code, "detached; the run goes on" in ended.text) == (0, True)
    reader = "dgrid attach 2>attached | (until [ -e read ]; do sleep 0.2; done; head -c 100 >seen)"
    job.lab.run(f"cd {job.directory}; (nohup bash -c '{reader}' >/dev/null 2>&1 &)", host="node3", check=True)
    job.wait_for("attached", "attached to head")
    job.say("flood")
    job.say("after")
    job.wait_for("out", "got after")
    job.lab.run(f"touch {job.directory}/read", check=True)
    job.wait_for("seen", "got flood")


def test_one_of_several_runs_is_stopped(job: Running, docker_jobs: Jobs) -> None:
    """Several are listed to choose from. First a worker, and the run goes on; then the head, and all of it ends."""
    other = started(docker_jobs)
    ended = job.look("logs once")
    assert ended.code == 2
    assert ended.err.startswith("dgrid: 2 runs are there — say which one with --session or --job:\ndgrid:   session ")
    session = next(str(row["session"]) for row in json.loads(other.look("ps --json").out) if not row["job"])
    assert job.look(f"stop --session {session[:6]} ticker").err == "dgrid: stopped ticker\n"
    rows = other.rows(f"--session {session}")
    assert (rows["ticker"]["state"], rows["head"]["state"]) == ("exited", "running")
    ended = job.look(f"stop --session {session}")
    told = "dgrid: stopped head\ndgrid: head on node1 has ended; its dgrid removes the rest\n"
    assert (ended.code, ended.err) == (0, told)
    other.wait_for("code", "code 143")
    assert {row["job"] for row in json.loads(job.look("ps --json").out)} == {job.job}


def test_the_end_comes_to_whoever_is_attached(job: Running) -> None:
    """With the head's exit code; -i gives it input. It was never disturbed: its job ends as the head does."""
    ended = job.look("attach -i", before="(sleep 2; echo end) |")
    assert ended.code == 5, ended.err
    end = job.lab.wait_job(job.job)
    assert (end.state, end.exit_code) == ("FAILED", 5)


def test_podman_is_looked_into_alike(podman_lab: Cluster) -> None:
    """All the looks that the two engines answer differently."""
    running = started(Jobs(podman_lab, "podman"), scale=2)
    states = {name: (row["state"], row["exit_code"]) for name, row in running.rows().items()}
    assert (states["head"], states["once"]) == (("running", None), ("exited", 3))
    assert running.look("logs same").text == "same-[1-2]:\nready\n"
    ended = running.look("exec -i same-1 bash -c 'id -un; cat; exit 7'", before="echo text |")
    assert (ended.code, ended.text) == (7, "alice\ntext\n")
    assert running.look("top").text.startswith("NODE   NAME")
    assert running.look("stop ticker").err == "dgrid: stopped ticker\n"
    ended = running.look("attach -i", before="(sleep 3; echo end) |")
    assert ended.code == 5, ended.err
    running.wait_for("code", "code 5")
