"""Links over a real sshd, by paramiko and by the OpenSSH client: the same contract."""

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from loopback import openssh, sshd, until

from dgrid.errors import EngineUnreachable, LinkDropped, LinkError, NodeError

KINDS = pytest.mark.parametrize("connect", ["paramiko", "openssh"], indirect=True)
PARAMIKO = pytest.mark.parametrize("connect", ["paramiko"], indirect=True)
TELLING = pytest.mark.parametrize("connect", ["paramiko", "command"], indirect=True)
SILENT = pytest.mark.parametrize("connect", ["openssh", "command"], indirect=True)
OPENSSH = pytest.mark.parametrize("connect", ["openssh"], indirect=True)


def test_a_script_runs_and_its_exit_code_and_output_come_back(connect, shared_sshd):
    """stdout and stderr together, in order; quotes, dollars and exclamation marks mean what they mean to sh."""
    done = connect(shared_sshd).run("""echo "one  $((1+1))"; echo 'it'"'"'s !' >&2; exit 3""", 10)
    assert (done.exit_code, done.output) == (3, "one  2\nit's !\n")


def test_big_output_comes_whole(connect, shared_sshd):
    """5 MB, more than any window of ssh."""
    done = connect(shared_sshd).run("head -c 5000000 /dev/zero | tr '\\0' x", 30)
    assert (done.exit_code, len(done.output), set(done.output)) == (0, 5_000_000, {"x"})


def test_bytes_that_are_no_text_do_no_harm(connect, shared_sshd):
    """They are replaced."""
    assert connect(shared_sshd).run("printf 'a\\377b'", 10).output == "a\ufffdb"


def test_a_script_that_takes_too_long_is_given_up(connect, shared_sshd):
    """At its deadline, in the node's name; the link is still good."""
    link, began = connect(shared_sshd), time.monotonic()
    with pytest.raises(LinkError, match=r"node1: .* did not end within 0\.5 s"):
        link.run("sleep 20", 0.5)
    assert time.monotonic() - began < 3
    assert link.run("echo good", 10).output == "good\n"


def test_a_script_that_closes_its_output_and_goes_on_is_given_up_too(connect, shared_sshd):
    """The deadline holds for the exit code as well."""
    link, began = connect(shared_sshd), time.monotonic()
    with pytest.raises(LinkError, match=r"did not end within 0\.7 s"):
        link.run("exec >/dev/null 2>&1; exec 1>&- 2>&-; sleep 4", 0.7)
    assert time.monotonic() - began < 3


def test_more_scripts_at_once_than_sshd_allows_sessions(connect, shared_sshd):
    """MaxSessions is 10: they wait for each other, and none fails."""
    link = connect(shared_sshd)
    with ThreadPoolExecutor(24) as pool:
        done = list(pool.map(lambda number: link.run(f"sleep 0.2; exit {number}", 30).exit_code, range(24)))
    assert done == list(range(24))


def test_14_streams_at_once(connect, shared_sshd, echo_socket):
    """Streams are no sessions: MaxSessions does not count them."""
    link = connect(shared_sshd)
    streams = [link.dial(echo_socket, 10) for _ in range(14)]
    for number, stream in enumerate(streams):
        stream.sendall(b"hello %d" % number)
    assert [stream.recv(100) for stream in streams] == [b"hello %d" % number for number in range(14)]
    for stream in streams:
        stream.close()


def test_streams_opened_by_many_threads_reach_their_own_sockets(connect, shared_sshd, echo_socket, digest_socket):
    """No thread gets the socket another one asked for."""
    link = connect(shared_sshd)

    def use(number):
        path = echo_socket if number % 2 else digest_socket
        stream = link.dial(path, 10)
        stream.sendall(b"x")
        link.half_close(stream)
        answer = stream.recv(100)
        stream.close()
        return answer

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(use, range(64)))
    assert answers == [hashlib.sha256(b"x").hexdigest().encode(), b"x"] * 32


def test_the_end_of_input_is_seen_at_the_far_end(connect, shared_sshd, digest_socket):
    """half_close ends what is sent, and the answer to it still comes; 5 MB arrive whole."""
    data = os.urandom(5_000_000)
    link = connect(shared_sshd)
    stream = link.dial(digest_socket, 10)
    stream.sendall(data)
    link.half_close(stream)
    received = b"".join(iter(lambda: stream.recv(4096), b""))
    assert received.decode() == hashlib.sha256(data).hexdigest()


def test_closing_a_stream_wakes_its_reader(connect, shared_sshd, echo_socket):
    """A thread in recv gets the end, or an error; it does not stay there."""
    stream = connect(shared_sshd).dial(echo_socket, 10)
    stream.settimeout(None)
    ended = threading.Event()

    def read():
        with contextlib.suppress(OSError):
            stream.recv(10)
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    time.sleep(0.1)
    stream.close()
    assert ended.wait(3)


def test_a_quiet_stream_times_out(connect, shared_sshd, echo_socket):
    """With the timeout it was dialled with."""
    stream = connect(shared_sshd).dial(echo_socket, 0.3)
    with pytest.raises(TimeoutError):
        stream.recv(1)


@TELLING
def test_a_socket_that_is_not_there_is_named(connect, shared_sshd, tmp_path):
    """With the path on the node."""
    with pytest.raises(EngineUnreachable, match=f"node1: cannot reach the engine at {tmp_path}/nothing "):
        connect(shared_sshd).dial(f"{tmp_path}/nothing", 10)


@TELLING
def test_refusals_to_many_threads_are_all_refusals(connect, shared_sshd, tmp_path):
    """Not a lost connection."""
    link = connect(shared_sshd)

    def dial(_):
        with pytest.raises(EngineUnreachable, match=f"node1: cannot reach the engine at {tmp_path}/nothing "):
            link.dial(f"{tmp_path}/nothing", 10)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(dial, range(200)))
    assert link.run("echo good", 10).output == "good\n"


@OPENSSH
def test_a_socket_that_is_not_there_ends_the_stream(connect, shared_sshd, tmp_path):
    """OpenSSH tells no more: the forwarding stands, its far end does not."""
    assert is_ended(connect(shared_sshd).dial(f"{tmp_path}/nothing", 10))


def is_ended(stream):
    try:
        return stream.recv(1) == b""
    except ConnectionError:
        return True


@PARAMIKO
def test_an_sshd_that_forbids_sockets_is_told(connect, tmp_path):
    """With the setting the administrator can change."""
    with sshd(tmp_path, AllowStreamLocalForwarding="no") as server, pytest.raises(EngineUnreachable) as caught:
        connect(server).dial("/run/docker.sock", 10)
    assert str(caught.value) == (
        "node1: cannot reach the engine at /run/docker.sock through ssh (Connect failed): no engine listens there, "
        "you may not use it, or sshd's AllowStreamLocalForwarding forbids it"
    )


def test_a_resident_script_lives_until_its_link_is_closed(connect, shared_sshd, tmp_path):
    """It learns of that by the end of its input."""
    link, mark = connect(shared_sshd), tmp_path / "ended"
    resident = link.stay(f"echo here $$; cat; touch {mark}")
    assert resident.read_line(10).startswith("here ")
    assert not mark.exists()
    link.close()
    assert until(mark.exists)


def test_a_resident_script_ends_when_it_is_closed_alone(connect, shared_sshd, tmp_path):
    """The link stays good."""
    link, mark = connect(shared_sshd), tmp_path / "ended"
    resident = link.stay(f"echo here; cat; touch {mark}")
    assert resident.read_line(10) == "here"
    resident.close()
    assert until(mark.exists)
    assert link.run("echo good", 10).output == "good\n"


def test_a_resident_script_ends_when_the_connection_is_cut(connect, own_sshd, tmp_path):
    """The leash relies on it."""
    link, mark = connect(own_sshd), tmp_path / "ended"
    assert link.stay(f"echo here; cat; touch {mark}").read_line(10) == "here"
    own_sshd.cut()
    assert until(mark.exists)


def test_lines_of_a_resident_script_come_one_by_one(connect, shared_sshd):
    """Also those that arrive together; then, when there is no more, a timeout; after its end, empty lines."""
    resident = connect(shared_sshd).stay('printf "one\\ntwo\\nthr"; sleep 0.6; echo ee; read x; echo bye')
    assert [resident.read_line(10), resident.read_line(10)] == ["one", "two"]
    with pytest.raises(TimeoutError):
        resident.read_line(0.2)
    assert resident.read_line(10) == "three"
    resident.close()


def test_a_script_that_has_ended_says_nothing_more(connect, shared_sshd):
    """An empty line, at once and again."""
    resident = connect(shared_sshd).stay("echo only")
    assert [resident.read_line(10) for _ in range(3)] == ["only", "", ""]


def test_when_the_connection_is_cut_a_running_script_is_lost(connect, own_sshd):
    """Not taken for one that has ended."""
    link = connect(own_sshd)
    threading.Timer(0.5, own_sshd.cut).start()
    with pytest.raises(LinkDropped, match=r"node1: the (ssh connection|connection by `ssh .*`) is lost"):
        link.run("sleep 20", 20)


def test_after_a_cut_nothing_goes_over_the_link_any_more(connect, own_sshd, echo_socket):
    """Above all no new connection is made behind the scenes."""
    link = connect(own_sshd)
    link.dial(echo_socket, 5).close()
    own_sshd.cut()
    assert until(lambda: not own_sshd.connections())
    time.sleep(0.2)
    with pytest.raises(LinkDropped):
        link.run("echo still here", 5)
    with pytest.raises(NodeError):
        link.dial(echo_socket, 5)
    assert own_sshd.connections() == []


def test_a_cut_connection_ends_its_streams(connect, own_sshd, echo_socket):
    """A reader sees the end, or an error, at once."""
    stream = connect(own_sshd).dial(echo_socket, 10)
    own_sshd.cut()
    began = time.monotonic()
    assert is_ended(stream)
    assert time.monotonic() - began < 3


def test_closing_twice_is_no_error_and_leaves_nothing(connect, own_sshd):
    """No process on either side, no thread."""
    before = set(threading.enumerate())
    link = connect(own_sshd)
    link.run("true", 10)
    link.close()
    link.close()
    assert until(lambda: own_sshd.connections() == [])
    assert until(lambda: set(threading.enumerate()) <= before)


@PARAMIKO
def test_both_addresses_are_known(connect, shared_sshd):
    """Of the connection itself."""
    assert connect(shared_sshd).addresses() == ("127.0.0.1", "127.0.0.1")


@SILENT
def test_addresses_are_not_known(connect, shared_sshd):
    """A jump host may stand between."""
    assert connect(shared_sshd).addresses() == (None, None)


def test_a_login_script_that_talks_does_no_harm(connect, tmp_path, own_sshd):
    """~/.bashrc and the like print before the command runs: here sshd's ForceCommand does as they would."""
    directory = tmp_path / "chatty"
    directory.mkdir()
    with sshd(directory, ForceCommand='echo Welcome to node1; eval "$SSH_ORIGINAL_COMMAND"') as server:
        link = connect(server)
        # By a command it talks once, before the connection stands.
        before = [] if connect.kind == "command" else ["Welcome to node1"]
        assert link.run("echo good", 10).output.splitlines() == [*before, "good"]


def test_forwardings_of_the_users_own_do_not_stand_in_the_way(use_ssh, shared_sshd, echo_socket):
    """A LocalForward in the user's settings, which two connections cannot both have, is not asked for."""
    use_ssh(shared_sshd.config(more=" LocalForward 127.0.0.1:1 127.0.0.1:2\n RemoteCommand echo hello\n"))
    first, second = openssh(), openssh()
    for link in (first, second):
        stream = link.dial(echo_socket, 5)
        stream.sendall(b"x")
        assert stream.recv(1) == b"x"
    first.close()
    second.close()


def test_a_dgrid_killed_before_its_leashes_leaves_no_directory(use_ssh, shared_sshd, tmp_path):
    """What the ssh client keeps in a temporary directory goes with dgrid, however that ends."""
    use_ssh(shared_sshd.config())
    script = "from dgrid.nodes.link_openssh import connect; connect('node1', 10); print('up', flush=True); input()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        assert list(tmp_path.glob("dgrid-*"))
        process.kill()
    assert until(lambda: not list(tmp_path.glob("dgrid-*")))
