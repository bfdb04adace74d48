"""What dgrid asks of engines, asked of real ones: Docker over each kind of link, rootless Podman over ssh."""

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from benches import BASE, Bench, bind
from loopback import until

from dgrid.errors import EngineError, EngineNotFound, EngineTimeout
from dgrid.nodes import docker_api
from dgrid.nodes.engine import ContainerState
from dgrid.plan.facts import EngineKind
from dgrid.plan.request import FileToPlace, NetworkRequest

# The kind of link makes a difference to streams; to short calls, only the engine does.
ENGINES = pytest.mark.parametrize("whole_bench", ["docker", "podman"], indirect=True)
MISSING = "localhost/dgrid-no-such-image:1"
# A signal ends an init process only if it is handled: PID 1 ignores what it does not expect.
SLEEP = "trap 'exit 0' TERM; sleep 600 & wait"


def is_podman(bench):
    return bench.engine.info.kind is EngineKind.PODMAN


def ended(bench, container):
    """Its state once it has ended."""
    assert until(lambda: bench.engine.state(container).exit_code is not None, 20)
    return bench.engine.state(container)


@ENGINES
def test_an_engine_tells_what_it_is(bench):
    """Kind, version, whether it maps ids, whether it has an init process."""
    info = bench.engine.info
    assert int(info.version.split(".")[0]) >= 4
    assert info.rootless is is_podman(bench)
    assert info.has_init
    assert info.architecture in ("amd64", "arm64")


@ENGINES
def test_images_are_looked_up(bench):
    """The id is the same under each name; what is not there is an error of its own."""
    found = bench.engine.inspect_image(BASE)["Id"]
    assert len(found.removeprefix("sha256:")) == 64
    assert bench.engine.inspect_image(found)["Id"] == found
    with pytest.raises(EngineNotFound, match=f"cannot look up the image {MISSING}"):
        bench.engine.inspect_image(MISSING)


@ENGINES
def test_docker_and_podman_give_an_image_one_id(whole_bench, podman_link):
    """docker save and podman load keep it."""
    from benches import podman_bench

    with podman_bench(podman_link) as podman:
        ids = [one.engine.inspect_image(BASE)["Id"].removeprefix("sha256:") for one in (podman, whole_bench)]
        assert ids[0] == ids[1]


@ENGINES
def test_files_are_in_place_before_the_first_instruction(bench):
    """With owner and mode, also below directories that were not there; HOME belongs to the user."""
    files = (
        FileToPlace("/home/tester", None, 0o700),
        FileToPlace("/etc/deep/er/hostfile", b"a\0b\n", 0o640),
        FileToPlace("/" + "n" * 90 + "/" + "m" * 90, b"long", 0o600),
    )
    script = "stat -c '%u:%g %a %n' /home/tester /etc/deep/er/hostfile; cat /etc/deep/er/hostfile /n*/m*; touch ~/x"
    stdout, stderr = bench.output(script, files=files)
    uid = bench.uid
    expected = f"{uid}:{uid} 700 /home/tester\n{uid}:{uid} 640 /etc/deep/er/hostfile\na\0b\nlong"
    assert (stdout.decode(), stderr) == (expected, b"")


@ENGINES
def test_files_are_placed_again_and_again(bench):
    """Podman fails now and then when an archive does not end where it says."""
    for _ in range(15):
        bench.engine.remove(bench.create("true"))


@ENGINES
def test_the_submitter_runs_it_without_privileges(bench):
    """uid, gid, no capabilities, no way to new ones, an init process; the environment letter by letter."""
    script = (
        "id -u; id -g; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr '\\t' ' '; "
        'echo "$GREETING"; tr "\\0" " " < /proc/1/cmdline | grep -c init; pwd'
    )
    stdout, _ = bench.output(script, work_dir="/tmp")
    uid, gid, cap_bnd, cap_eff, no_new, greeting, _init, directory = stdout.decode().splitlines()
    assert (uid, gid) == (str(bench.uid), str(bench.uid))
    assert {cap_bnd, cap_eff} == {"CapBnd: 0000000000000000", "CapEff: 0000000000000000"}
    assert (no_new, greeting, directory) == ("NoNewPrivs: 1", "it's $HOME", "/tmp")


def test_5_mb_through_stdin_and_stdout_are_the_same_bytes(bench):
    """Binary; and the end of stdin is seen, as cat ends."""
    data = os.urandom(5_000_000)
    stdout, stderr = bench.output("cat", stdin=data)
    assert hashlib.sha256(stdout).digest() == hashlib.sha256(data).digest()
    assert stderr == b""


def test_nothing_is_lost_from_the_first_byte_to_the_last(bench):
    """A container that writes and ends at once, again and again: attach comes before the start."""
    for _ in range(5):
        assert bench.output("echo out; echo err >&2") == (b"out\n", b"err\n")


def test_5_mb_on_stderr_arrive_too(bench):
    """While stdout is quiet."""
    _, stderr = bench.output("head -c 5000000 /dev/zero >&2")
    assert len(stderr) == 5_000_000


@ENGINES
def test_exit_codes(bench):
    """As the command gave them, or 128 and the number of the signal that ended it."""
    scripts = {"exit 0": 0, "exit 1": 1, "exit 77": 77, "exit 255": 255, "kill -KILL $$; sleep 9": 137}
    containers = {bench.worker(script): code for script, code in scripts.items()}
    assert {container: ended(bench, container).exit_code for container in containers} == containers


@ENGINES
def test_the_life_of_a_container(bench):
    """Created, running, ended, gone."""
    engine = bench.engine
    request = bench.request("bash", "-c", SLEEP)
    container = engine.create(request)
    created = replace(engine.state(container), finished_at="")  # each engine has its own word for "never"
    assert created == ContainerState(container, request.name, False, None, 0, False, "")
    assert engine.containers(bench.labels) == (container,)
    assert engine.containers(bench.labels, running_only=True) == ()
    engine.start(container)
    engine.start(container)  # no error
    state = engine.state(container)
    assert (state.running, state.exit_code, state.pid > 0) == (True, None, True)
    assert engine.containers(bench.labels, running_only=True) == (container,)
    time.sleep(0.3)  # until bash has set its trap
    engine.kill(container, "SIGTERM")
    state = ended(bench, container)
    assert (state.running, state.exit_code) == (False, 0)
    engine.kill(container, "SIGTERM")  # it has ended: no error
    engine.remove(container)
    engine.remove(container)  # it is gone: no error
    engine.kill(container, "SIGTERM")
    assert engine.containers(bench.labels) == ()
    with pytest.raises(EngineNotFound):
        engine.state(container)


@ENGINES
def test_a_signal_nobody_knows_is_refused(bench):
    """As long as the container runs."""
    container = bench.worker(SLEEP)
    with pytest.raises(EngineError, match="node1: cannot send SIGNONSENSE: "):
        bench.engine.kill(container, "SIGNONSENSE")


@ENGINES
def test_labels_are_all_asked_for(bench):
    """A container with only one of two is not found."""
    container = bench.shell("true", labels=((*bench.labels.items(), ("io.dgrid.job", "7"))))
    both = {**bench.labels, "io.dgrid.job": "7"}
    assert bench.engine.containers(both) == (container,)
    assert bench.engine.containers({**bench.labels, "io.dgrid.job": "8"}) == ()


@ENGINES
def test_running_containers_are_removed_at_once(bench):
    """Those that ignore every signal, too."""
    container = bench.worker("trap '' TERM INT HUP; while :; do sleep 1; done")
    began = time.monotonic()
    bench.engine.remove(container)
    assert time.monotonic() - began < 8
    assert bench.engine.containers(bench.labels) == ()


@ENGINES
def test_an_image_that_is_not_there_is_told_at_create(bench):
    """With the engine's words."""
    with pytest.raises(EngineError, match=rf"node1: cannot create dgrid-.*{MISSING}"):
        bench.create("true", image=MISSING)
    assert bench.engine.containers(bench.labels) == ()


@ENGINES
@pytest.mark.parametrize(("command", "words"), [("no-such-command", "not found"), ("/etc/passwd", "permission denied")])
def test_a_command_that_cannot_be_run_is_told_at_start(bench, command, words):
    """With words that tell a missing one from a forbidden one; the container can be removed."""
    container = bench.create(command, init=False)
    with pytest.raises(EngineError, match=f"node1: cannot start the container: .*{words}"):
        bench.engine.start(container)
    assert not bench.engine.state(container).running
    bench.engine.remove(container)


@ENGINES
@pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), ("/etc/passwd", 126)])
def test_behind_an_init_process_it_is_told_by_the_exit_code(bench, command, code):
    """Docker's init starts well, then ends as a shell would; Podman's (catatonit) knows 1 only."""
    container = bench.create(command, init=True)
    bench.engine.start(container)
    assert ended(bench, container).exit_code == (1 if is_podman(bench) else code)


@pytest.mark.parametrize("whole_bench", ["docker"], indirect=True)
def test_a_mount_whose_source_is_missing_is_told(bench, tmp_path):
    """Nothing is made in its place. (Podman makes a directory there, hence the check of nodes before.)"""
    path = tmp_path / "missing"
    with pytest.raises(EngineError, match=f"node1: cannot create .*{path}"):
        bench.create("true", mounts=(bind(str(path), "/data"),))
    assert not path.exists()


@ENGINES
def test_mounts_are_where_they_belong(bench):
    """Read-only where asked for."""
    mounts = (bind("/usr/share", "/data/a", read_only=True), bind("/tmp", "/data/b"))
    script = "ls /data/a | head -1 | wc -l; grep -o ' /data/[ab] r[ow]' /proc/self/mountinfo | sort"
    stdout, _ = bench.output(script, mounts=mounts)
    assert stdout == b"1\n /data/a ro\n /data/b rw\n"


@ENGINES
def test_the_last_lines_of_a_worker(bench):
    """stdout and stderr together, as many as asked for."""
    container = bench.worker("for i in $(seq 30); do echo line $i; done; sleep 0.2; echo last >&2")
    ended(bench, container)
    assert bench.engine.tail(container, 3).splitlines() == ["line 29", "line 30", "last"]


def test_a_log_is_followed(bench):
    """What was written before counts, and what comes later."""
    container = bench.worker("echo starting; sleep 0.7; echo ready >&2; sleep 600")
    for text in ("starting", "ready", "starting"):
        log = bench.engine.follow_log(container)
        assert log.text_contains(text)
        log.close()


def test_the_log_of_one_that_ends_ends(bench):
    """Without the text: false."""
    container = bench.worker("sleep 0.3; echo bye")
    log = bench.engine.follow_log(container)
    assert not log.text_contains("never said")
    log.close()


def test_a_log_that_is_let_go_of_ends(bench):
    """From another thread, as the time for it is over."""
    container = bench.worker("sleep 600")
    log = bench.engine.follow_log(container)
    threading.Timer(0.3, log.close).start()
    began = time.monotonic()
    assert not log.text_contains("never said")
    assert time.monotonic() - began < 3


def test_ends_are_told_as_they_happen(bench):
    """Of this run's containers only."""
    other = Bench(bench.engine, bench.uid)
    events, told = bench.engine.events(bench.labels), []
    reader = threading.Thread(target=lambda: told.extend(end.container_id for end in events.ends()), daemon=True)
    reader.start()
    try:
        other.worker("exit 0")
        first = bench.worker("exit 3")
        assert until(lambda: told == [first], 10)
        second = bench.worker(SLEEP)
        time.sleep(0.2)
        bench.engine.kill(second, "SIGKILL")
        assert until(lambda: told == [first, second], 10)
        assert bench.engine.state(second).exit_code == 137
    finally:
        other.clean()
    events.close()
    reader.join(5)
    assert not reader.is_alive()


@ENGINES
def test_what_is_not_there_cannot_be_attached_to(bench):
    """Nor its log be read."""
    for call in (
        lambda: bench.engine.attach("0123456789ab", tty=False, stdin=False),
        lambda: bench.engine.follow_log("0123456789ab"),
        lambda: bench.engine.tail("0123456789ab", 3),
    ):
        with pytest.raises(EngineNotFound, match="node1: "):
            call()


def test_a_terminal(bench):
    """Raw bytes, and its size as set, before and after the start of the reader."""
    script = "read x; stty size; read y; stty size; exit 4"
    container = bench.shell(script, tty=True)
    attached = bench.engine.attach(container, tty=True, stdin=True)
    bench.engine.start(container)
    bench.engine.resize(container, 33, 111)
    attached.write(b"one\n")
    chunks, seen = attached.chunks(), b""
    while b"33 111" not in seen:
        seen += next(chunks)[1]
    bench.engine.resize(container, 50, 200)
    attached.write(b"two\n")
    seen += b"".join(data for _, data in chunks)
    assert b"50 200\r\n" in seen
    assert ended(bench, container).exit_code == 4
    attached.close()


def test_keys_that_docker_would_keep_reach_the_terminal(bench):
    """ctrl-P ctrl-Q, which detaches by default, arrives; and ctrl-P without waiting for a second key."""
    container = bench.shell("stty raw -echo; echo go; head -c 3 | od -An -tx1", tty=True)
    attached = bench.engine.attach(container, tty=True, stdin=True)
    bench.engine.start(container)
    chunks, seen = attached.chunks(), b""
    while b"go" not in seen:
        seen += next(chunks)[1]
    attached.write(b"\x10\x11\x10")
    seen += b"".join(data for _, data in chunks)
    assert b"10 11 10" in seen
    attached.close()


def test_commands_inside_a_container(bench):
    """Their exit codes; as the user; never too early, never too long."""
    container, user = bench.worker(SLEEP), f"{bench.uid}:{bench.uid}"

    def run(script, timeout_s=20):
        return bench.engine.execute(container, ("bash", "-c", script), user, timeout_s)

    assert [run("exit 0"), run("exit 9"), run("sleep 0.5; exit 3")] == [0, 9, 3]
    assert run(f"test $(id -u) = {bench.uid}") == 0
    began = time.monotonic()
    with pytest.raises(EngineTimeout):
        run("sleep 60", 0.5)
    assert time.monotonic() - began < 5


@ENGINES
def test_a_command_that_is_not_inside_fails(bench):
    """By an error, or by its exit code."""
    container = bench.worker(SLEEP)
    try:
        code = bench.engine.execute(container, ("no-such-command",), f"{bench.uid}:{bench.uid}", 20)
    except EngineError as error:
        assert "no-such-command" in str(error)
    else:
        assert code in (126, 127)


@ENGINES
def test_networks_are_made_and_removed_by_label(bench):
    """Names of the others resolve within one."""
    engine = bench.engine
    name = f"dgrid-net-{bench.session}"
    engine.create_network(NetworkRequest("node1", name, "bridge", tuple(bench.labels.items())))
    with pytest.raises(EngineError, match=f"node1: cannot make the network {name}: "):
        engine.create_network(NetworkRequest("node1", name, "bridge", tuple(bench.labels.items())))
    server = engine.create(
        bench.request(
            "bash", "-c", SLEEP, is_head=False, network=name, aliases=("database", "db-1"), hostname="database"
        )
    )
    engine.start(server)
    stdout, stderr = bench.output(
        "for name in database db-1; do getent hosts $name >/dev/null; echo $?; done; getent hosts elsewhere; hostname",
        network=name,
        hostname="head-1",
        extra_hosts=(("elsewhere", "10.1.2.3"),),
    )
    assert (stdout.split(), stderr) == ([b"0", b"0", b"10.1.2.3", b"elsewhere", b"head-1"], b"")
    if not is_podman(bench):  # which removes it with what is connected to it
        with pytest.raises(EngineError, match="node1: cannot remove the network "):
            engine.remove_network(name)
    for container in engine.containers(bench.labels):
        engine.remove(container)
    assert engine.networks(bench.labels) == (name,)
    engine.remove_network(name)
    assert engine.networks(bench.labels) == ()


def test_after_the_end_is_declared_nothing_is_made_any_more(bench, whole_bench):
    """No create, no start, no network; what has to be removed can be."""
    link, path = whole_bench.engine._link, whole_bench.engine.socket_path
    own = replace(bench, engine=docker_api.connect(link, path, 60, has_catatonit=bench.engine.info.has_init))
    container = own.shell("true")
    assert own.engine.refuse_creates(1.0) is False
    for call in (
        lambda: own.shell("true"),
        lambda: own.engine.start(container),
        lambda: own.engine.create_network(NetworkRequest("node1", f"n-{own.session}", "bridge", ())),
    ):
        with pytest.raises(EngineError, match="node1: the run is ending"):
            call()
    own.engine.remove(container)
    assert own.engine.containers(own.labels) == ()
    own.engine.close()


@pytest.mark.parametrize("whole_bench", ["docker by paramiko", "podman"], indirect=True)
def test_many_threads_use_one_engine(bench):
    """Sixteen at once: create, start, look, remove; none disturbs another."""

    def live(number):
        container = bench.worker(f"exit {number}")
        code = ended(bench, container).exit_code
        bench.engine.remove(container)
        return code

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(live, range(16))) == list(range(16))
    assert bench.engine.containers(bench.labels) == ()


@pytest.mark.parametrize("whole_bench", ["docker by paramiko", "docker by openssh"], indirect=True)
def test_fourteen_attached_containers_at_once(bench):
    """More streams than sshd allows sessions."""
    containers = [bench.shell("cat; sleep 0.1") for _ in range(14)]
    attached = [bench.engine.attach(container, tty=False, stdin=True) for container in containers]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(bench.engine.start, containers))
    for number, stream in enumerate(attached):
        stream.write(b"hello %d" % number)
        stream.close_write()
    assert [b"".join(data for _, data in stream.chunks()) for stream in attached] == [
        b"hello %d" % number for number in range(14)
    ]
    for stream in attached:
        stream.close()
