"""The link by a command: what is particular to it. The command here is a shell, as a batch system's own would be."""

import ast
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from loopback import until

from dgrid.errors import HostKeyError, LinkDropped, LinkError, LoginError
from dgrid.nodes import link_command, switch, switch_node
from dgrid.nodes.link import LinkKind
from dgrid.nodes.link_local import LocalLink
from dgrid.nodes.machine import Machine, warned
from dgrid.nodes.open_link import LinkOpener
from dgrid.plan.allocation import Allocation, Node

NODE = Node("node1", 1, False)


def carrier(before="", path=None):
    """A command that runs what follows the node's name, after ``before``."""
    settings = f"PATH={path}; " if path else ""
    return ("/bin/sh", "-c", f'{before} shift; {settings}"$@"', "carrier")


@pytest.fixture
def link():
    made = link_command.connect("node1", carrier(), 10)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("/no/such/command",), r"`/no/such/command` cannot be run on this machine \(No such file or directory\)"),
        (
            carrier("echo srun: error: no such node >&2; exit 1;"),
            r"`/bin/sh` cannot connect \(srun: error: no such node\)",
        ),
        (carrier("exec sleep 5;"), r"`/bin/sh` brought no shell there within 0\.6 s"),
        (carrier("exit 0;"), r"`/bin/sh` cannot connect \(no message\)"),
    ],
)
def test_a_command_that_does_not_connect_is_told(command, words):
    """With its own last words, in the node's name."""
    with pytest.raises(LinkError, match=f"node1: {words}"):
        link_command.connect("node1", command, 0.6)


@pytest.fixture
def not_ours(monkeypatch):
    """Carriers of another user, as oarsh: no signal reaches them."""

    def refuse(pid, number):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(os, "killpg", refuse)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("echo oarsh: no such node >&2; exit 1;", r"cannot connect \(oarsh: no such node\)"),
        ("cat >/dev/null; exit 1;", r"brought no shell there within 0\.6 s"),
        ("exec sleep 5;", r"brought no shell there within 0\.6 s"),
    ],
)
def test_a_carrier_that_is_not_ours_to_kill_is_left_in_time(not_ours, before, words):
    """Whether it ends with its input or not; the error is the same as of another."""
    began = time.monotonic()
    with pytest.raises(LinkError, match=f"node1: `/bin/sh` {words}"):
        link_command.connect("node1", carrier(before), 0.6)
    assert time.monotonic() - began < 4


def test_a_carrier_that_is_not_ours_to_kill_can_be_cut(not_ours, link):
    """Streams end at once, and it ends with its input."""
    resident = link.stay("sleep 60")
    link.cut()
    assert link.is_lost()
    assert resident.read_line(2) == ""
    assert until(lambda: link._carrier.poll() is not None)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""  # that of a dead one which nobody waits for is empty
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_wrapper_is_killed_with_what_it_has_started(tmp_path):
    """In time: that its output stays open is no reason to wait."""
    began = time.monotonic()
    with pytest.raises(LinkError, match=r"`/bin/sh` brought no shell there within 1 s"):
        link_command.connect("node1", carrier(f"sleep 25 & echo $! >{tmp_path}/pid; wait;"), 1)
    assert time.monotonic() - began < 4
    assert until(lambda: not is_running((tmp_path / "pid").read_text().strip()))


def test_a_wrapper_is_cut_with_what_it_has_started():
    """What does not notice the end of its input, too."""
    made = link_command.connect("node1", carrier("sleep 25 & echo $! >&2;"), 10)
    made._errors.seek(0)
    pid = made._errors.readline().decode().strip()
    assert is_running(pid)
    made.cut()
    assert until(lambda: not is_running(pid))
    assert made.is_lost()
    made.close()


def test_other_text_in_its_output_ends_the_connection(tmp_path):
    """With that text as the reason."""
    warning = f"(until test -e {tmp_path}/go; do sleep 0.05; done; echo slurmstepd: low on memory) &"
    made = link_command.connect("node1", carrier(warning), 10)
    resident = made.stay("sleep 60")
    (tmp_path / "go").touch()
    assert resident.read_line(5) == ""
    assert made.is_lost()
    with pytest.raises(LinkDropped, match=r"is lost \(there was something else in it: 'slurmstepd: low on memory'\)"):
        made.run("echo here", 5)
    made.close()


@pytest.mark.parametrize(
    ("python", "words"),
    [
        (None, "there is no python3 there, which a connection by `/bin/sh` needs"),
        (
            "echo 'dgrid-carrier-lacks python3 from 3.7 on (it is 3.6)'",
            r"there is no python3 from 3\.7 on \(it is 3\.6\)",
        ),
    ],
)
def test_a_node_without_python_is_told(tmp_path, python, words):
    """An old one says so itself; this one is a fake that does."""
    for name in ("sh", "command"):
        (tmp_path / name).symlink_to("/bin/sh")
    if python:
        (tmp_path / "python3").write_text(f"#!/bin/sh\n{python}\n")
        (tmp_path / "python3").chmod(0o755)
    with pytest.raises(LinkError, match=words):
        link_command.connect("node1", carrier(path=tmp_path), 10)


@pytest.mark.parametrize("module", [switch, switch_node])
def test_what_is_sent_is_python_from_3_7_on(module):
    """As on the oldest systems in use; and it needs nothing but the standard library."""
    ast.parse(Path(module.__file__).read_text(), feature_version=(3, 7))


def test_start_up_files_that_talk_and_errors_do_no_harm():
    """The far end is known by its own word."""
    made = link_command.connect("node1", carrier("echo Welcome; echo dgrid; echo hm >&2;"), 10)
    assert made.run("echo good; echo too >&2", 10).output == "good\ntoo\n"
    made.close()


def test_a_slow_reader_keeps_nobody_waiting(link, tmp_path):
    """A stream that nobody reads is full after its window; all others go on."""
    made = [link.stay("exec cat /dev/zero") for _ in range(3)]
    time.sleep(0.5)
    began = time.monotonic()
    assert link.run("echo good", 10).output == "good\n"
    assert time.monotonic() - began < 3
    assert len(made) == 3


def test_a_closed_stream_is_closed_at_the_far_end(link, tmp_path):
    """Also where the far end has much to say, and does not listen."""
    resident = link.stay(f"trap '' PIPE; cat /dev/zero; echo >{tmp_path}/ended")
    resident._stream.close()
    assert until((tmp_path / "ended").exists)


def test_a_leash_ends_the_connection_and_outlives_it(tmp_path):
    """It kills its parent, as it does with sshd's process: every stream ends, and the carrier waits for it alone."""
    made = link_command.connect("node1", carrier(), 10)
    other = made.stay(f"cat; echo >{tmp_path}/other")
    leash = made.stay(f"echo $PPID; read -r _; kill $PPID; sleep 4; echo >{tmp_path}/swept", outlives_link=True)
    assert Path(f"/proc/{leash.read_line(10)}").exists()
    leash.send(b"now\n")
    assert until(made.is_lost)
    assert until((tmp_path / "other").exists)
    with pytest.raises(LinkDropped):
        made.run("echo here", 5)
    assert made._carrier.poll() is None
    assert until((tmp_path / "swept").exists)
    assert until(lambda: made._carrier.poll() is not None)
    assert other.read_line(1) == ""
    made.close()


def test_a_killed_dgrid_is_the_end_of_input_for_all(tmp_path):
    """Nothing is left but the leash, until it has ended."""
    script = f"cat >/dev/null; sleep 0.5; echo >{tmp_path}/swept"
    program = (
        "import os, sys; from dgrid.nodes.link_command import connect; "
        f"link = connect('node1', {carrier()!r}, 10); link.stay({script!r}, outlives_link=True); "
        f"link.stay('cat; echo >{tmp_path}/other'); link.run('true', 5); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert until((tmp_path / "other").exists)
    assert until((tmp_path / "swept").exists)


def test_nothing_is_left_of_it():
    """No thread, no process, no descriptor."""
    threads, descriptors = set(threading.enumerate()), len(list(Path("/proc/self/fd").iterdir()))
    made = link_command.connect("node1", carrier(), 10)
    made.run("true", 10)
    made.stay("cat").close()
    made.close()
    assert set(threading.enumerate()) <= threads
    assert made._carrier.poll() == 0
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


class RefusingSsh:
    """Stands for SshOpener: every node refuses, with an error of a kind."""

    def __init__(self, error):
        self._error = error

    def open(self, node):
        raise self._error


class Refusing(LinkOpener):
    """One whose ssh is refused everywhere."""

    def __init__(self, error, kind, command):
        super().__init__(kind, 10, command)
        self._ssh = RefusingSsh(error)


SHELL = "/bin/sh -c 'shift; exec \"$@\"' carrier"


def test_where_ssh_is_refused_the_command_is_taken():
    """And it is said."""
    opened = Refusing(LoginError("node1", "no key"), LinkKind.AUTO, SHELL).open(NODE)
    assert opened.remark == "reached by `/bin/sh`, as ssh is refused there (no key)"
    opened.close()


@pytest.mark.parametrize(
    ("error", "kind", "command", "words"),
    [
        (HostKeyError("node1", "another key"), LinkKind.AUTO, SHELL, "another key"),
        (LoginError("node1", "no key"), LinkKind.PARAMIKO, SHELL, "no key"),
        (LoginError("node1", "no key"), LinkKind.AUTO, None, "no key"),
        (
            LoginError("node1", "no key"),
            LinkKind.AUTO,
            "/bin/false",
            "no key; nor by `/bin/false`: `/bin/false` cannot",
        ),
        (LoginError("node1", "no key"), LinkKind.BATCH, None, "--link batch needs a command of the batch system"),
    ],
)
def test_where_it_is_not_taken(error, kind, command, words):
    """A host key that is wrong is no reason to take another way; nor is a way that the user chose."""
    with pytest.raises(LinkError, match=words):
        Refusing(error, kind, command).open(NODE)


@pytest.mark.parametrize(
    ("in_job", "leaves_s", "ended_by", "is_warned"),
    [(True, None, "OAR", True), (True, 30.0, "Slurm", False), (False, None, "OAR", False), (True, None, None, False)],
)
def test_a_leash_that_the_batch_system_kills_at_once_is_told(in_job, leaves_s, ended_by, is_warned):
    """It is one of the job's processes; where they get no TERM before the KILL, it cannot do its work."""
    opened = LocalLink("node1")
    opened.in_job = in_job
    machine = Machine((NODE,), opened, None, "Podman is used there")
    allocation = Allocation((NODE,), "x", ended_by=ended_by, leaves_s=leaves_s)
    remark = warned(machine, allocation).remark
    assert ("OAR kills all of a job's processes at once" in remark) is is_warned
    assert remark.startswith("Podman is used there")
