"""What a script around dgrid sees: exit codes, stdout, stdin, a terminal."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import big_stream
import pytest
from jobs import Jobs, head, shell, worker

pytestmark = pytest.mark.lab

MUCH, STOP_S = 150_000_000, 4
EATER = ("perl", "-e", "$$x = 'a' x 200000000; sleep 9")


@pytest.fixture
def small(docker_jobs: Jobs) -> Iterator[str]:
    """A directory on the first node with room for 1 MB."""
    path = "/var/tmp/small"
    node, script = docker_jobs.lab.nodes[0], f"mkdir -p {path}; mount -t tmpfs -o size=1m,mode=1777 none {path}"
    docker_jobs.lab.run(["sh", "-c", script], host=node, user="root", check=True)
    yield path
    docker_jobs.lab.run(["umount", path], host=node, user="root", check=True)


@pytest.mark.parametrize("code", [0, 1, 77, 137])
def test_exit_code_of_the_head_is_dgrids(jobs: Jobs, code: int) -> None:
    """dgrid ends with the head container's own exit code."""
    assert jobs.run(head(*shell(f"exit {code}"))).code == code


def test_head_killed_by_a_signal(jobs: Jobs) -> None:
    """A head that dies of signal n gives 128+n, as in a shell."""
    assert jobs.run(head(*shell("kill -SEGV $$"))).code == 128 + 11


@pytest.mark.parametrize(("command", "code"), [("/nope", 127), ("/etc/passwd", 126)])
def test_head_without_a_command(docker_jobs: Jobs, command: str, code: int) -> None:
    """127 for a command that is not found and 126 for one that cannot be run, as `docker run` ends."""
    assert docker_jobs.run(head(command)).code == code


def test_stdout_is_the_heads_and_nothing_else(jobs: Jobs) -> None:
    """stdout has the head's bytes alone; the head's stderr and all that dgrid says are on stderr."""
    ended = jobs.run(head(*shell("printf 'a\\0b\\xff'; echo oops >&2")), worker("w", *shell("echo not me; sleep 99")))
    assert ended.out == b"a\0b\xff"
    assert "oops" in ended.err
    assert "not me" not in ended.err


def much_output(jobs: Jobs, option: str) -> None:
    containers = json.loads(big_stream.definition(MUCH))["containers"]
    options = f"{jobs.write(*containers)} {option}"
    done = jobs.run_at(Path(big_stream.__file__), "--here", str(MUCH), str(STOP_S), options)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_much_output_is_unchanged_and_a_reader_that_stops_costs_no_memory(jobs: Jobs) -> None:
    """Whatever comes out of the head arrives byte for byte; what dgrid takes does not grow meanwhile."""
    much_output(jobs, "")


def test_much_output_by_way_of_a_spool(docker_jobs: Jobs) -> None:
    """It is unchanged, and in no memory of dgrid's, either."""
    much_output(docker_jobs, "--spool")


def test_an_end_while_the_reader_has_stopped(jobs: Jobs) -> None:
    """All that the head wrote before it ended arrives, though the reader reads on only long after that."""
    options = jobs.write(head(*shell("head -c 600000 /dev/urandom | tee >(sha256sum >&2); sleep 0.5; exit 3")))
    ended = jobs.dgrid(f"{options} --quiet | (sleep 6; sha256sum); echo ${{PIPESTATUS[0]}}", before="")
    assert ended.text.split()[0] == ended.err.split()[0]
    assert ended.text.split()[-1] == "3"


def test_with_a_spool_the_run_is_over_before_its_reader_reads(docker_jobs: Jobs) -> None:
    """Containers are gone, dgrid waits for the reader and says so; a signal ends that, and the loss is told."""
    options = docker_jobs.write(head(*shell("head -c 5000000 /dev/zero")))
    script = f"mkfifo stuck; sleep 60 < stuck & dgrid {options} --spool > stuck & "
    script += "until docker ps -aqf label=io.dgrid.session | grep -q .; do sleep 0.1; done; "
    script += "while docker ps -aqf label=io.dgrid.session | grep -q .; do sleep 0.1; done; sleep 4; "
    ended = docker_jobs.dgrid("", before=f"cd $(mktemp -d); {script} kill $!; wait $!; echo $?; kill %1; exit;")
    assert ended.text.split() == ["143"]
    assert re.search(r"dgrid: waiting until the reader of stdout has taken the last 4,9\d\d,\d\d\d bytes", ended.err)
    assert re.search(r"dgrid: the last 4,9\d\d,\d\d\d bytes of stdout were not delivered to their reader\n", ended.err)
    assert docker_jobs.left() == []


def test_a_full_disk(docker_jobs: Jobs, small: str) -> None:
    """Under stdout's file or the logs it ends the run with 125 and the reason, under the spool the head waits."""
    options = docker_jobs.write(head(*shell("head -c 5000000 /dev/urandom | tee >(sha256sum >&2)")))
    ended = docker_jobs.dgrid(f"{options} > {small}/out; code=$?; rm {small}/out; exit $code", before="")
    assert ended.err.endswith("dgrid: cannot write the head container's output (No space left on device)\n")
    assert ended.code == 125
    ended = docker_jobs.dgrid(f"{options} --log-dir {small}; code=$?; rm {small}/*; exit $code", before="")
    assert ended.err.endswith("dgrid: cannot write to the log directory (No space left on device)\n")
    assert ended.code == 125
    ended = docker_jobs.dgrid(f"{options} --spool {small} --quiet | (sleep 4; sha256sum)", before="")
    assert f"the spool in {small} takes no more (No space left on device); the head container waits" in ended.err
    assert ended.text.split()[0] in ended.err
    assert docker_jobs.left() == []


def test_a_head_that_uses_up_its_memory(docker_jobs: Jobs) -> None:
    """The limit and the node are told, and not only 137."""
    ended = docker_jobs.run(head(*EATER, resources={"memory": "20m"}))
    assert f"{docker_jobs.lab.nodes[0]}: head was killed because it used up its limit of 20m" in ended.err
    assert ended.code == 137


def test_stdin_reaches_the_head_with_its_end(jobs: Jobs) -> None:
    """What is piped into dgrid is the head's stdin, and its end is seen there."""
    data = bytes(range(256)) * 40_000
    ended = jobs.run(head("sha256sum"), stdin=data)
    assert ended.text.split()[0] == hashlib.sha256(data).hexdigest()


def test_no_stdin(jobs: Jobs) -> None:
    """A batch job's empty stdin is an empty stdin in the head."""
    ended = jobs.dgrid(f"{jobs.write(head('wc', '-c'))} < /dev/null", before="")
    assert ended.text.strip() == "0"


def test_closed_streams(docker_jobs: Jobs) -> None:
    """A stream that dgrid was started without is the null device, never some connection of dgrid's own."""
    options = docker_jobs.write(head(*shell("cat; echo out; echo err >&2; exit 4"))) + " --quiet"
    ended = docker_jobs.dgrid(f"{options} <&-", before="")
    assert (ended.text, ended.err, ended.code) == ("out\n", "err\n", 4)
    ended = docker_jobs.dgrid(f"{options} >&-", before="")
    assert (ended.text, ended.err, ended.code) == ("", "err\n", 4)
    ended = docker_jobs.dgrid(f"{options} <&- >&- 2>&-", before="")
    assert (ended.text, ended.err, ended.code) == ("", "", 4)


@pytest.mark.parametrize("option", ["", "--spool"])
def test_reader_that_goes_away_ends_the_run(jobs: Jobs, option: str) -> None:
    """`dgrid | head -1` ends with 141 (SIGPIPE), and nothing of it is left."""
    ended = jobs.dgrid(f"{jobs.write(head('yes'))} {option} | head -1; echo ${{PIPESTATUS[0]}}", before="")
    assert ended.text.split() == ["y", "141"]
    assert jobs.left() == []


def test_quiet(jobs: Jobs) -> None:
    """--quiet says nothing when nothing is wrong."""
    assert jobs.run(head("true"), options="--quiet").err == ""


def test_log_dir_has_a_file_for_each_container(jobs: Jobs) -> None:
    """--log-dir keeps each container's output, whole and apart from the others'."""
    options = jobs.write(
        head(*shell("echo from head; sleep 1")), worker("w", *shell("echo from w; echo err >&2; sleep 9"), scale=2)
    )
    directory = options.split("=")[-1].removesuffix("job.json") + "logs"
    jobs.dgrid(f"{options} --log-dir {directory}")
    logs = jobs.lab.run(["sh", "-c", f"cd {directory}; tail -n +1 *"]).stdout.decode()
    assert "head.log <==\nfrom head" in logs
    assert logs.count("from w\n") == logs.count("err\n") == 2


def test_log_dir_has_the_output_of_each_start(jobs: Jobs) -> None:
    """A worker that was started again goes on in its file."""
    options = jobs.write(
        head("sleep", "6"), worker("w", *shell("echo once; exit 9"), failure_policy="restart", max_restarts=1)
    )
    ended = jobs.dgrid(f"{options} --log-dir logs; cat logs/w.log", before="cd $(mktemp -d);")
    assert ended.text == "once\nonce\n"


def test_log_that_cannot_be_written_is_said(docker_jobs: Jobs) -> None:
    """A full disk under a worker's log is told, and the run goes on."""
    options = docker_jobs.write(head("sleep", "3"), worker("w", *shell("echo hello; sleep 9")))
    full = "cd $(mktemp -d); mkdir logs; ln -s /dev/full logs/w.log;"
    ended = docker_jobs.dgrid(f"{options} --log-dir logs", before=full)
    assert "the output of w is not kept any more: cannot write to the log directory (No space left" in ended.err
    assert ended.code == 0


def test_terminal_session(jobs: Jobs) -> None:
    """With "tty" and a terminal on both sides the head has a terminal: its size follows, every key gets there."""
    options = jobs.write(head("bash", "--norc", tty=True))
    done = jobs.run_at(Path(__file__).with_name("type_at.py"), options)
    shown = done.stdout.decode()
    assert done.returncode == 9, shown
    for text in ("40 100", "50 120", "code 130", "still 42"):
        assert text in shown
    assert jobs.left() == []
