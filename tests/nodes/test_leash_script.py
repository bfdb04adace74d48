"""The leash's script by itself, in several shells, with a fake docker command that keeps its containers in a file."""

import contextlib
import functools
import os
import secrets
import select
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from dgrid.nodes.leash_script import _SWEEP, LeashSettings, leash_script
from dgrid.nodes.link import resident_command
from dgrid.plan.naming import LEASH_WORD

SHELLS = ("dash", "bash", "busybox")
SESSION = "feedc0ffee00"
# Containers are lines of a file; every call is written down; the file "hangs" makes it hang, "fails" makes it fail.
FAKE_DOCKER = """#!/bin/sh
cd {directory}
echo "$*" >> calls
[ ! -e hangs ] || exec sleep 100
[ ! -e fails ] || exit 1
case "$1" in
ps) cat containers ;;
rm) shift; for id; do sed -i "/^$id$/d" containers; done ;;
esac
"""


FAKE_CURL = """#!/bin/sh
cd {directory}
for url; do :; done
case "$5 $url" in
"GET "*/containers/*) sed 's/.*/{{"Id": "&"}},/' containers ;;
DELETE*) id=${{url##*/}}; sed -i "/^${{id%%\\?*}}$/d" containers ;;
esac
"""
TOOLS = ("cat", "grep", "head", "ls", "readlink", "rm", "sed", "sleep", "sort", "tr")  # and no docker, python3, perl


@dataclass
class Leashed:
    """A running leash, and the directory of the fake engine."""

    process: subprocess.Popen
    directory: Path

    def say(self, word):
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()

    def read(self):
        return self.process.stdout.readline().decode().strip()

    def calls(self, word):
        file = self.directory / "calls"
        return [call for call in file.read_text().splitlines() if call.split()[0] == word] if file.exists() else []

    def clock_and_reader(self):
        """The process that ticks, which has a child, its sleep; and the one that reads dgrid's words, which has none.

        For moments the leash has other children, of which some have one, too.
        """
        deadline = time.monotonic() + 5
        while True:
            theirs = {one: children_of(one) for one in children_of(self.process.pid)}
            if sorted(map(len, theirs.values())) == [0, 1]:
                return sorted(theirs, key=lambda one: not theirs[one])
            assert time.monotonic() < deadline, f"the leash's children and theirs: {theirs}"
            time.sleep(0.02)

    def processes(self):
        """All it has started that are still there, the sleep of its clock too."""
        found = subprocess.run(["pgrep", "-a", "-g", str(self.process.pid)], capture_output=True, text=True).stdout
        return [line for line in found.splitlines() if not line.endswith("<defunct>")]

    def containers(self):
        return (self.directory / "containers").read_text().split()

    def wait_gone(self, within_s=8):
        deadline = time.monotonic() + within_s
        while self.containers():
            assert time.monotonic() < deadline, "the containers are still there"
            time.sleep(0.05)


def children_of(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(one) for one in found.stdout.split()]


@contextlib.contextmanager
def leash_in(shell, directory, has_docker=True):
    """A leash of three seconds' lease with two containers, run by that shell."""
    tools = directory / "bin"
    tools.mkdir(parents=True)
    (tools / "docker").write_text(FAKE_DOCKER.format(directory=directory))
    (tools / "docker").chmod(0o755)
    (tools / "sh").symlink_to(shutil.which(shell))
    path = f"{tools}:{os.environ['PATH']}"
    if not has_docker:
        (tools / "docker").unlink()
        (tools / "curl").write_text(FAKE_CURL.format(directory=directory))
        (tools / "curl").chmod(0o755)
        for tool in TOOLS:
            (tools / tool).symlink_to(shutil.which(tool))
        path = str(tools)
    (directory / "containers").write_text("c1\nc2\n")
    script = leash_script(LeashSettings(SESSION, "docker", "/nowhere/docker.sock", lease_s=3, cuts=False))
    process = subprocess.Popen(
        [tools / "sh", "-c", resident_command(script, f"{LEASH_WORD} {SESSION}")],
        env={**os.environ, "PATH": path, "TMOUT": "1"},  # which bash heeds in each read
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    process.stdin.write(script.encode())
    process.stdin.flush()
    started = Leashed(process, directory)
    try:
        assert started.read() == "leash on"
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def in_all_shells(test):
    """The test, in each shell there is at the same time: it mostly waits."""

    @functools.wraps(test)
    def run(tmp_path):
        def run_in(shell):
            with leash_in(shell, tmp_path / shell) as leash:
                test(leash)

        with ThreadPoolExecutor() as pool:
            list(pool.map(run_in, SHELLS))

    del run.__wrapped__  # else pytest looks for a fixture called leash
    return run


@in_all_shells
def test_a_run_that_ends_in_order_is_left_alone(leash):
    """The word "done" ends the leash, its clock too; it asks the engine nothing."""
    leash.say("done")
    assert leash.process.wait(5) == 0
    # dgrid waits for the end of its output, which nothing that is left is to hold open.
    assert select.select([leash.process.stdout], [], [], 0.2)[0], "its output has not ended"
    assert leash.process.stdout.read() == b""
    time.sleep(0.2)  # a process that was killed ends in a moment
    assert leash.processes() == []
    assert leash.containers() == ["c1", "c2"]
    assert leash.calls("ps") == []


@in_all_shells
def test_a_stopped_clock_does_not_outlive_the_run(leash):
    """Nor does it hold up the end of the output."""
    clock, _ = leash.clock_and_reader()
    os.kill(clock, signal.SIGSTOP)
    leash.say("done")
    assert leash.process.wait(5) == 0
    assert select.select([leash.process.stdout], [], [], 0.5)[0], "its output has not ended"
    assert leash.process.stdout.read() == b""
    assert leash.processes() == []


@in_all_shells
def test_signals_to_the_whole_job_do_not_stop_its_clock(leash):
    """Batch systems send USR1 and others to all processes of a job; the lease counts on."""
    for name in ("USR1", "INT", "QUIT"):
        os.killpg(leash.process.pid, getattr(signal, f"SIG{name}"))
        time.sleep(0.2)
    leash.wait_gone()


@in_all_shells
def test_its_clock_goes_on_when_its_sleep_is_killed(leash):
    """A user's "pkill sleep" is not to end the lease."""
    clock, _ = leash.clock_and_reader()
    subprocess.run(["pkill", "-P", str(clock), "sleep"], check=True)
    leash.wait_gone()


@in_all_shells
def test_a_leash_that_is_replaced_touches_nothing(leash):
    """Told to leave, it ends none of the run's processes: these go on under another leash."""
    worker = subprocess.Popen(["sleep", "60"], env={**os.environ, "DGRID_SESSION": SESSION})
    leash.say("leave")
    assert leash.process.wait(5) == 0
    assert worker.poll() is None
    worker.kill()
    worker.wait()


@in_all_shells
def test_end_of_input(leash):
    """It removes all with the session's label, and looks twice again."""
    leash.process.stdin.close()
    leash.process.wait(10)
    time.sleep(0.2)
    assert leash.processes() == []
    assert leash.containers() == []
    assert leash.calls("rm") == ["rm --force --volumes c1 c2"]
    assert leash.calls("ps") == [f"ps --all=true --quiet --no-trunc --filter label=io.dgrid.session={SESSION}"] * 3


@in_all_shells
def test_beats_keep_it_quiet_and_silence_does_not(leash):
    """As long as there are beats it answers and waits; when the lease is over it removes everything."""
    for _ in range(5):
        time.sleep(1)
        leash.say("beat")
        assert leash.read() == "ok"
    assert leash.containers() == ["c1", "c2"]
    leash.wait_gone()


@in_all_shells
def test_suspended_itself_it_loses_no_time(leash):
    """A leash that was stopped for longer than its lease goes on as if nothing had been."""
    os.killpg(leash.process.pid, signal.SIGSTOP)
    time.sleep(4.5)
    os.killpg(leash.process.pid, signal.SIGCONT)
    leash.say("beat")
    assert leash.read() == "ok"
    assert leash.containers() == ["c1", "c2"]


@in_all_shells
def test_sent_term(leash):
    """TERM to its main process ends the run's part on this node."""
    leash.process.terminate()
    leash.wait_gone()


@in_all_shells
def test_paused_it_holds(leash):
    """Paused, it needs no beats; resumed, it does again."""
    leash.say("pause")
    assert [leash.read(), leash.read()] == ["holding", "paused"]
    time.sleep(4.5)
    assert leash.containers() == ["c1", "c2"]
    leash.say("resume")
    leash.wait_gone()
    assert leash.calls("pause") == ["pause c1 c2"]
    assert leash.calls("unpause") == ["unpause c1 c2"]


@in_all_shells
def test_words_in_a_burst_are_not_lost(leash):
    """All that is said at once is heard, and in its order: bash forgets signals that come together."""
    for _ in range(10):
        leash.say("creating\ncreated " + "d" * 64 + "\nbeat\npause\nresume\nbeat")
        assert sorted(leash.read() for _ in range(4)) == ["holding", "ok", "ok", "paused"]
    leash.say("creating\ncreated " + "d" * 64 + "\nbeat")
    leash.process.stdin.close()
    leash.wait_gone(1.5)
    assert leash.calls("pause") == ["pause c1 c2"] * 10
    assert leash.calls("unpause") == ["unpause c1 c2"] * 10


@in_all_shells
def test_a_killed_reader_is_missed(leash):
    """Without it no word of dgrid's arrives, nor the end of them."""
    _, reader = leash.clock_and_reader()
    os.kill(reader, signal.SIGKILL)
    leash.wait_gone(2.5)


@in_all_shells
def test_without_its_reader_and_its_clock_the_main_process_acts(leash):
    """Nobody would say anything to it any more."""
    for pid in leash.clock_and_reader():
        os.kill(pid, signal.SIGKILL)
    leash.wait_gone(2.5)


@in_all_shells
def test_without_its_main_process_no_word_holds_the_reader_up(leash):
    """What it says to that process, which was killed, is more than a pipe holds."""
    leash.process.kill()
    leash.say("creating\ncreated" + 1500 * f" {'d' * 64}")
    leash.process.stdin.close()
    leash.wait_gone()


@in_all_shells
def test_told_to_leave_while_its_main_process_is_stopped(leash):
    """The reader has gone when the main process looks; what it said counts."""
    os.kill(leash.process.pid, signal.SIGSTOP)
    time.sleep(1.5)
    leash.say("leave")
    time.sleep(0.3)
    os.kill(leash.process.pid, signal.SIGCONT)
    assert leash.process.wait(5) == 0
    assert leash.calls("rm") == []


@in_all_shells
def test_a_main_process_that_was_stopped_counts_no_time(leash):
    """The clock went on meanwhile."""
    _, reader = leash.clock_and_reader()
    stopped = (leash.process.pid, reader)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(4.5)
    leash.say("beat")
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert leash.read() == "ok"
    time.sleep(0.3)
    assert leash.calls("rm") == []


@in_all_shells
def test_thousands_of_containers_do_not_hold_beats_up(leash):
    """Their ids are words, too."""
    began = time.monotonic()
    leash.say("creating\ncreated" + 3000 * f" {'d' * 64}" + "\nbeat")
    assert leash.read() == "ok"
    leash.say("done")
    assert leash.process.wait(5) == 0
    assert time.monotonic() - began < 3


def test_a_leash_whose_processes_cannot_be_reached_says_so(tmp_path):
    """/proc may be that of others; it is an empty directory here."""
    script = leash_script(LeashSettings(SESSION, "docker", "/nowhere/docker.sock", lease_s=3, cuts=False))
    script = script.replace("/proc/$reader/fd", f"{tmp_path}/fd")
    done = subprocess.run(
        ["sh", "-c", resident_command(script, f"{LEASH_WORD} {SESSION}")],
        input=script, text=True, capture_output=True, timeout=20,
    )  # fmt: skip
    assert done.stdout == "leash off its processes cannot be reached in /proc\n"


@in_all_shells
def test_without_its_main_process_the_reader_acts(leash):
    """When the main process was killed and the input ends, the containers are removed all the same."""
    leash.process.kill()
    leash.process.stdin.close()
    leash.wait_gone()


@in_all_shells
def test_an_engine_that_fails_is_asked_again(leash):
    """No answer is not taken for "nothing there"."""
    (leash.directory / "fails").touch()
    leash.process.stdin.close()
    time.sleep(1.5)
    (leash.directory / "fails").unlink()
    leash.wait_gone()


@pytest.mark.parametrize("shell", SHELLS)
def test_processes_the_engine_forgot_are_ended(shell, tmp_path, forgotten):
    """An engine killed while it starts a container keeps no record of it; its process has not the run's environment.

    A start that was not answered lets dgrid end the input without a word, so that the main process acts by itself.
    """
    container, process = forgotten
    with leash_in(shell, tmp_path) as leash:
        leash.say("creating")
        leash.say(f"created {'d' * 64} {container}")
        leash.say("beat")
        assert leash.read() == "ok"
        assert process.poll() is None
        leash.process.stdin.close()
        assert process.wait(8) == -signal.SIGKILL


@pytest.fixture
def forgotten():
    """A container's id, and a process in its control group that no engine knows of."""
    container = secrets.token_hex(32)
    group = Path("/sys/fs/cgroup/pids" if Path("/sys/fs/cgroup/pids").is_dir() else "/sys/fs/cgroup") / container
    as_root = [] if os.getuid() == 0 else ["sudo", "-n"]
    subprocess.run([*as_root, "mkdir", group], check=True)
    process = subprocess.Popen(["sleep", "600"])
    try:
        subprocess.run([*as_root, "tee", group / "cgroup.procs"], input=b"%d" % process.pid, check=True)
        yield container, process
    finally:
        process.kill()
        process.wait()
        subprocess.run([*as_root, "rmdir", group], check=True)


def test_where_the_node_is_a_container_others_are_not_ended(tmp_path):
    """The node's own id in a process's control group is no container of the run; /proc and kill are fakes."""
    node, container = "/docker/" + "a" * 64, "/docker/" + "a" * 64 + "/" + "b" * 64
    ours = f"DGRID_SESSION={SESSION}"
    processes = {"self": ("", node), "101": (ours, node), "102": ("", node), "201": (ours, container)}
    processes |= {"202": ("", container), "203": ("", "/docker/" + "a" * 64 + "/" + "c" * 64)}
    for pid, (environ, group) in processes.items():
        directory = tmp_path / pid
        directory.mkdir()
        (directory / "environ").write_text(environ)
        (directory / "cgroup").write_text(f"9:pids:{group}\n0::{group}\n")
    fake = f"session={SESSION}\nkill() {{ shift; echo $* >>{tmp_path}/killed; }}\n"
    script = fake + _SWEEP.replace("/proc/", f"{tmp_path}/") + "end_processes\n"
    # Digits in the directory's own name would be taken for process ids.
    script = script.replace("tr -dc '0-9\\n'", f"sed 's|^{tmp_path}/||; s|/.*||'")
    subprocess.run(["sh", "-c", script], check=True)
    assert set((tmp_path / "killed").read_text().split()) == {"101", "201", "202"}


def test_without_docker_s_own_command_it_comes_to_an_end_as_well(tmp_path):
    """With curl it removes several at once, and waits for these calls alone: not for its reader, which waits for it."""
    with leash_in("dash" if "dash" in SHELLS else "bash", tmp_path, has_docker=False) as leash:
        leash.process.stdin.close()
        leash.wait_gone()
        leash.process.wait(8)
