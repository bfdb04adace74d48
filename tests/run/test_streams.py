"""What a script around dgrid sees: exit codes, stdout, stdin, a terminal."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from jobs import Jobs, head, shell, worker

pytestmark = pytest.mark.lab


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


def test_100_mb_of_random_bytes_are_unchanged(jobs: Jobs) -> None:
    """Whatever comes out of the head arrives byte for byte."""
    options = jobs.write(head(*shell("head -c 100000000 /dev/urandom | tee >(sha256sum >&2)")))
    ended = jobs.dgrid(f"{options} --quiet | sha256sum", before="")
    assert ended.text.split()[0] == ended.err.split()[0]


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


def test_reader_that_goes_away_ends_the_run(jobs: Jobs) -> None:
    """`dgrid | head -1` ends with 141 (SIGPIPE), and nothing of it is left."""
    ended = jobs.dgrid(f"{jobs.write(head('yes'))} | head -1; echo ${{PIPESTATUS[0]}}", before="")
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
