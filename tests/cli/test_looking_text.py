"""How containers of runs and what they use look as text."""

import json
from dataclasses import replace

import pytest

from dgrid.cli.looking import Where, find_places
from dgrid.cli.looking_text import log_line, ps_json, ps_text, size_text, top_json, top_text
from dgrid.errors import UsageError
from dgrid.plan.looking import Listed
from dgrid.plan.usage import Sample, Usage

ONE = Listed("node1", "id1", "node1", "worker-1", "worker", 1, "worker", "abc", "12.head", "alice", "node1", "debian",
             "running", 61.0)  # fmt: skip
ENDED = replace(ONE, container_id="id2", name="worker-2", index=2, state="exited", exit_code=137, out_of_memory=True)
SAMPLE = Sample(0.0, 0.0, 1 << 20, 1 << 30, 0, 1500, None, None, 3)
NOWHERE = Where(None, None, None, None, None, None, None)


def test_ps_says_how_containers_ended():
    """Exit code and lack of memory; the job's id, "-" where there is none."""
    assert ps_text([ONE, replace(ENDED, job="")]) == [
        "NODE   NAME      STATE                        AGE    IMAGE   JOB      SESSION",
        "node1  worker-1  running                      1m01s  debian  12.head  abc",
        "node1  worker-2  exited (137, out of memory)  1m01s  debian  -        abc",
    ]
    assert ps_text([ONE], with_user=True)[1].endswith("abc      alice")
    assert [(row["exit_code"], row["state"]) for row in ps_json([ONE, ENDED])] == [(None, "running"), (137, "exited")]


def test_top_shows_running_containers_only():
    """ "-" for what is not counted, null in data; a container without a sample has no data."""
    used = {"id1": Usage(12.34, SAMPLE)}
    assert top_text([ONE, ENDED], used)[1].split() == [
        "node1", "worker-1", "12.3%", "1.0", "MiB", "1.0", "GiB", "0", "B", "1.5", "KiB", "-", "-", "3",
    ]  # fmt: skip
    assert top_text([ONE], {})[1].split()[2:] == ["-"] * 8
    (row,) = top_json([ONE, ENDED, replace(ONE, container_id="new")], used)
    assert (row["cpu_percent"], row["memory_bytes"], row["received_bytes"]) == (12.3, 1 << 20, None)


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1536, "1.5 KiB"), (123 << 20, "123 MiB"),
     (1023 << 20, "1.0 GiB"), (5 << 60, "5120 PiB")],
)  # fmt: skip
def test_sizes_have_three_digits(size, text):
    """Powers of 1024."""
    assert size_text(size) == text


def test_a_line_of_a_log_is_a_line_of_json():
    """Whatever bytes it has."""
    line = log_line(ONE, True, b'a "\xff\x1b')
    assert json.loads(line) == {"node": "node1", "name": "worker-1", "stream": "stderr", "line": 'a "\ufffd\x1b'}
    assert line.count(b"\n") == 1


def test_places_are_what_the_command_line_says_before_what_the_job_says(tmp_path):
    """-w, else --hostfile, else the job's nodes, else this machine, whose runs lead to others."""
    file = tmp_path / "nodes"
    file.write_text("n1\nn2\nn2\n")
    environment = {"PBS_JOBID": "7.s", "PBS_NODEFILE": str(file)}

    def found(where, environment):
        places = find_places(where, environment)
        return [node.name for node in places.nodes], places.widen, places.job

    assert found(replace(NOWHERE, nodes="a[1-2]"), environment) == (["a1", "a2"], False, None)
    assert found(replace(NOWHERE, hostfile=str(file)), {}) == (["n1", "n2"], False, None)
    assert found(NOWHERE, environment) == (["n1", "n2"], True, "7.s")
    assert found(replace(NOWHERE, session="x"), environment) == (["n1", "n2"], True, None)
    nodes, widen, job = found(NOWHERE, {})
    assert (len(nodes), widen, job) == (1, True, None)


@pytest.mark.parametrize("nodes", ["", "n[1-"])
def test_nodes_that_are_none_are_wrong_usage(nodes):
    """With the way to write them."""
    with pytest.raises(UsageError, match=r"write nodes as in node\[1-4,7\]"):
        find_places(replace(NOWHERE, nodes=nodes), {})


def test_a_batch_system_whose_commands_may_not_be_run_is_none(tmp_path, monkeypatch):
    """As where the PATH has a directory that is closed to the user: what is said is what to do."""
    for name in ("squeue", "qstat", "oarstat", "bjobs", "condor_q", "flux"):
        (tmp_path / name).write_text("#!/bin/sh\n")  # not executable: for exec(3) the same error
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"--job 77: its nodes are unknown \(there is none of squeue, .* -w NODES"):
        find_places(replace(NOWHERE, job="77"), {})
