"""Connecting: keys, host keys, refusals; what is wrong, in words that help."""

import re
import shlex
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from loopback import USER, free_port, make_key, openssh, public, sshd

from dgrid.errors import HostKeyError, LinkDropped, LinkError, LoginError
from dgrid.nodes.link import LinkKind
from dgrid.nodes.open_link import LinkOpener
from dgrid.plan.allocation import Node


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_each_kind_of_key_logs_in(own_sshd, tmp_path, kind):
    """By paramiko, as `ssh-keygen` makes them."""
    key = make_key(tmp_path / kind, kind)
    own_sshd.authorize(key)
    link = own_sshd.paramiko(key)
    assert link.run("id -un", 10).output == f"{USER}\n"
    link.close()


def test_a_key_in_the_old_format_logs_in(own_sshd, tmp_path):
    """PEM, as OpenSSH wrote them before 7.8."""
    key = tmp_path / "old"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", key], check=True)
    assert "BEGIN RSA PRIVATE KEY" in key.read_text()
    own_sshd.authorize(key)
    own_sshd.paramiko(key).close()


def test_keys_are_tried_one_after_the_other(own_sshd, tmp_path):
    """The first ones may be refused, missing or no keys at all."""
    stranger, garbage = make_key(tmp_path / "stranger"), tmp_path / "garbage"
    garbage.write_text("no key\n")
    own_sshd.paramiko(tmp_path / "missing", garbage, stranger, own_sshd.key).close()


def test_the_agents_keys_are_tried(own_sshd, tmp_path, monkeypatch):
    """A key with a passphrase is no hindrance when ssh-agent holds it."""
    key = make_key(tmp_path / "locked", passphrase="secret")
    own_sshd.authorize(key)
    ask = tmp_path / "ask"
    ask.write_text("#!/bin/sh\necho secret\n")
    ask.chmod(0o755)
    agent = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.DEVNULL) as process:
        try:
            while not agent.exists():
                time.sleep(0.01)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
            monkeypatch.setenv("SSH_ASKPASS", str(ask))
            monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
            subprocess.run(["ssh-add", "-q", key], check=True, stdin=subprocess.DEVNULL)
            own_sshd.paramiko(key, use_agent=True).close()
        finally:
            process.terminate()


def test_a_key_with_a_passphrase_is_told(own_sshd, tmp_path):
    """Never a question: what was left out, why, and what to try."""
    key = make_key(tmp_path / "locked", passphrase="secret")
    own_sshd.authorize(key)
    with pytest.raises(LoginError) as caught:
        own_sshd.paramiko(key)
    assert str(caught.value) == (
        f"node1: there is no ssh key to log in with; {key} was left out: it has a passphrase and ssh-agent does not "
        "hold it; see that `ssh -o BatchMode=yes 127.0.0.1 true` works (ssh-keygen -t ed25519 and ssh-copy-id help), "
        "or use --link openssh"
    )


def test_a_key_that_is_none_is_told(own_sshd, tmp_path):
    """With its path."""
    garbage = tmp_path / "garbage"
    garbage.write_text("no key\n")
    with pytest.raises(LoginError, match=f"there is no ssh key to log in with; {garbage} was left out: "):
        own_sshd.paramiko(garbage)


def test_without_any_key_the_remedy_is_to_make_one(own_sshd, tmp_path):
    """And to copy it."""
    with pytest.raises(LoginError, match=r"no ssh key to log in with; .*ssh-keygen -t ed25519 and ssh-copy-id"):
        own_sshd.paramiko(tmp_path / "missing")


def test_a_key_that_is_not_accepted_is_told(own_sshd, tmp_path):
    """With the user's name and the number of keys tried."""
    keys = [make_key(tmp_path / name) for name in ("one", "two")]
    with pytest.raises(LoginError, match=f"node1: ssh does not accept any of the 2 keys of {USER}; .*ssh-copy-id help"):
        own_sshd.paramiko(*keys)


def test_a_wrong_user_is_named(own_sshd):
    """As the keys are his."""
    with pytest.raises(LoginError, match="ssh does not accept the only key of nobodyhere"):
        own_sshd.paramiko(user="nobodyhere")


def test_more_keys_than_sshd_wants_to_see(tmp_path):
    """MaxAuthTries ends the connection: that is a refusal, not a broken network."""
    with sshd(tmp_path, MaxAuthTries=2) as server:
        strangers = [make_key(tmp_path / f"k{number}") for number in range(4)]
        with pytest.raises(LoginError, match="ssh does not accept any of the 2 keys"):
            server.paramiko(*strangers, server.key)


def test_a_node_that_takes_no_keys_is_told(tmp_path):
    """With what it takes instead."""
    with (
        sshd(tmp_path, PubkeyAuthentication="no", PasswordAuthentication="yes", PermitRootLogin="yes") as server,
        pytest.raises(LoginError, match=r"the node accepts only password\. If plain ssh works, use --link openssh"),
    ):
        server.paramiko()


def test_an_unknown_host_key_is_refused_with_the_line_to_run(own_sshd):
    """That very line makes the next attempt succeed."""
    own_sshd.trust()
    with pytest.raises(HostKeyError) as caught:
        own_sshd.paramiko()
    line = re.fullmatch(
        r"node1: its ssh host key \((ssh-ed25519|ecdsa-sha2-nistp256)\) is unknown; if you trust this network: "
        r"(ssh-keyscan -p \d+ 127\.0\.0\.1) >> ~/\.ssh/known_hosts",
        str(caught.value),
    )
    assert line
    scanned = subprocess.run(shlex.split(line[2]), capture_output=True, text=True, check=True).stdout
    own_sshd.known_hosts.write_text(scanned)
    own_sshd.paramiko().close()


def test_an_unknown_host_key_is_taken_where_ssh_was_told_so(own_sshd):
    """StrictHostKeyChecking no or accept-new."""
    own_sshd.trust()
    own_sshd.paramiko(accept_unknown=True).close()


@pytest.mark.parametrize("accept_unknown", [False, True])
def test_a_changed_host_key_is_refused_whatever_the_settings(own_sshd, tmp_path, accept_unknown):
    """The remedy is not to trust it blindly."""
    other = " ".join(public(make_key(tmp_path / "other")).split()[:2])
    own_sshd.trust(other)
    with pytest.raises(HostKeyError) as caught:
        own_sshd.paramiko(accept_unknown=accept_unknown)
    assert "its ssh host key is not the one known for [127.0.0.1]:" in str(caught.value)
    assert "ask your administrator" in str(caught.value)
    assert "ssh-keyscan" not in str(caught.value)


def test_a_revoked_host_key_is_refused(own_sshd):
    """Though it is also known."""
    keys = [own_sshd.host_key(kind) for kind in ("ed25519", "ecdsa")]
    lines = [f"{own_sshd.name} {key}\n@revoked * {key}\n" for key in keys]
    own_sshd.known_hosts.write_text("".join(lines))
    with pytest.raises(HostKeyError, match="its ssh host key is marked as revoked for "):
        own_sshd.paramiko()


def test_the_kind_of_host_key_that_is_known_is_asked_for(own_sshd):
    """A node with two kinds of host key is known by either."""
    for kind in ("ed25519", "ecdsa"):
        own_sshd.trust(own_sshd.host_key(kind))
        own_sshd.paramiko().close()


def test_a_closed_port_is_told(own_sshd):
    """With its number."""
    port = free_port()
    with pytest.raises(LinkError) as caught:
        own_sshd.paramiko(port=port)
    assert str(caught.value) == f"node1: cannot connect to ssh on port {port} (Connection refused)"


def test_a_name_that_does_not_resolve_is_told(own_sshd):
    """With the name that ssh's settings give."""
    with pytest.raises(LinkError, match=r"node1: the name no\.such\.host\.invalid does not resolve \("):
        own_sshd.paramiko(host="no.such.host.invalid")


def test_an_sshd_that_says_nothing_is_given_up_in_time(own_sshd):
    """As on a node that hangs: one timeout, and no second try."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(LinkError) as caught:
            own_sshd.paramiko(timeout_s=1, port=silent.getsockname()[1])
    assert re.fullmatch(r"node1: ssh on port \d+ did not answer within 1 s", str(caught.value))
    assert not caught.value.transient
    assert time.monotonic() - began < 3


def test_a_connection_refused_under_load_may_be_tried_again(own_sshd):
    """What MaxStartups does: sshd takes the connection and drops it."""
    with socket.socket() as dropping:
        dropping.bind(("127.0.0.1", 0))
        dropping.listen()
        threading.Thread(target=lambda: dropping.accept()[0].close(), daemon=True).start()
        with pytest.raises(LinkDropped) as caught:
            own_sshd.paramiko(port=dropping.getsockname()[1])
    assert caught.value.transient


@pytest.mark.parametrize("kind", [LinkKind.PARAMIKO, LinkKind.OPENSSH])
def test_connections_dropped_under_load_are_tried_again(tmp_path, use_ssh, kind):
    """MaxStartups 4:60:12 and twelve log-ins at once: all come in."""
    with sshd(tmp_path, MaxStartups="4:60:12") as server:
        use_ssh(server.config("n*"))
        opener, links = LinkOpener(kind, 10), []
        try:
            with ThreadPoolExecutor(12) as pool:
                list(pool.map(lambda number: links.append(opener.open(Node(f"n{number}", 1, False))), range(12)))
            assert [link.run("echo up", 10).output for link in links] == ["up\n"] * 12
        finally:
            for link in links:
                link.close()
        assert "MaxStartups" in server.log()


@pytest.mark.parametrize(
    ("more", "kind", "name"),
    [
        ("", LinkKind.AUTO, "ParamikoLink"),
        ("", LinkKind.OPENSSH, "OpenSshLink"),
        (" ProxyCommand nc %h %p\n", LinkKind.AUTO, "OpenSshLink"),
        (" ProxyCommand nc %h %p\n", LinkKind.OPENSSH, "OpenSshLink"),
    ],
)
def test_auto_takes_openssh_only_where_the_users_settings_need_it(shared_sshd, use_ssh, more, kind, name):
    """The settings are those of the ssh client itself."""
    use_ssh(shared_sshd.config(more=more.replace("nc %h %p", f"{relay(shared_sshd)} %h %p")))
    link = LinkOpener(kind, 10).open(Node("node1", 1, False))
    assert (type(link).__name__, link.run("echo up", 10).output) == (name, "up\n")
    link.close()


def relay(server):
    """A ProxyCommand in Python, as netcat may not be there."""
    path = Path(server.directory / "relay")
    path.write_text(
        "#!/usr/bin/python3 -I\n"
        "import os, select, socket, sys\n"
        "far = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "while True:\n"
        "    for ready in select.select([0, far], [], [])[0]:\n"
        "        data = far.recv(65536) if ready is far else os.read(0, 65536)\n"
        "        if not data:\n"
        "            sys.exit()\n"
        "        os.write(1, data) if ready is far else far.sendall(data)\n"
    )
    path.chmod(0o755)
    return path


def test_an_authority_in_known_hosts_needs_openssh(own_sshd, use_ssh, tmp_path):
    """Host certificates: sshd shows one, the client trusts who signed it."""
    authority = make_key(tmp_path / "authority")
    directory = own_sshd.directory
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "node1", "-h", "-n", "127.0.0.1", directory / "host_ed25519.pub"],
        check=True,
    )
    certified = tmp_path / "certified"
    certified.mkdir()
    with sshd(certified, HostCertificate=directory / "host_ed25519-cert.pub") as server:
        (certified / "host_ed25519").write_bytes((directory / "host_ed25519").read_bytes())
        server.trust(" ".join(public(authority).split()[:2]), marker="@cert-authority ")
        use_ssh(server.config())
        with pytest.raises(LinkError, match="your ssh settings use @cert-authority in known_hosts, which needs --link"):
            LinkOpener(LinkKind.PARAMIKO, 10).open(Node("node1", 1, False))


def test_asking_for_paramiko_where_it_cannot_is_told(shared_sshd, use_ssh):
    """With the setting and the remedy."""
    use_ssh(shared_sshd.config(more=" ProxyJump gate\n"))
    with pytest.raises(LinkError) as caught:
        LinkOpener(LinkKind.PARAMIKO, 10).open(Node("node1", 1, False))
    assert str(caught.value) == "node1: your ssh settings use proxyjump, which needs --link openssh or auto"


def test_a_wrong_ssh_configuration_is_told(use_ssh):
    """In ssh's own words."""
    use_ssh("Nonsense yes\n")
    with pytest.raises(LinkError, match=r"node1: your ssh configuration is not accepted: .*[Bb]ad configuration"):
        LinkOpener(LinkKind.AUTO, 10).open(Node("node1", 1, False))


@pytest.mark.parametrize("kind", [kind for kind in LinkKind if kind is not LinkKind.BATCH])
def test_without_an_ssh_client_that_is_told(monkeypatch, tmp_path, kind):
    """dgrid needs it, if only to read the settings."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LinkError, match="node1: the ssh client is not installed on this machine"):
        LinkOpener(kind, 10).open(Node("node1", 1, False))


def test_this_machine_needs_no_ssh(monkeypatch, tmp_path):
    """Its link is its own shell."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert LinkOpener(LinkKind.AUTO, 10).open(Node("here", 4, True)).run("echo up", 5).output == "up\n"


class TestByOpenSsh:
    """The ssh client's refusals, sorted into our kinds; nothing is left of any attempt."""

    @pytest.fixture(autouse=True)
    def nothing_left(self, tmp_path, monkeypatch):
        """Each attempt has a directory of its own, which goes with it."""
        scratch = tmp_path / "t"
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        yield
        assert list(scratch.iterdir()) == []

    def test_unknown_host_key(self, own_sshd, use_ssh):
        """The line to run is given."""
        own_sshd.trust()
        use_ssh(own_sshd.config())
        with pytest.raises(HostKeyError, match="if you trust this network: ssh-keyscan node1 >> "):
            openssh()

    def test_changed_host_key(self, own_sshd, use_ssh, tmp_path):
        """No advice to trust it blindly."""
        own_sshd.trust(" ".join(public(make_key(tmp_path / "other")).split()[:2]))
        use_ssh(own_sshd.config())
        with pytest.raises(HostKeyError, match="its ssh host key is not the one known") as caught:
            openssh()
        assert "ssh-keyscan" not in str(caught.value)

    def test_revoked_host_key(self, own_sshd, use_ssh):
        """Neither."""
        own_sshd.trust(*(own_sshd.host_key(kind) for kind in ("ed25519", "ecdsa")), marker="@revoked ")
        use_ssh(own_sshd.config())
        with pytest.raises(HostKeyError) as caught:
            openssh()
        assert "ssh-keyscan" not in str(caught.value)

    def test_no_key_accepted(self, own_sshd, use_ssh, tmp_path):
        """Without a question."""
        own_sshd.authorize(make_key(tmp_path / "other"))
        use_ssh(own_sshd.config())
        with pytest.raises(LoginError, match=r"ssh cannot log in without a question \(.*denied \(publickey\)"):
            openssh()

    def test_closed_port(self, use_ssh):
        """Not worth another try."""
        use_ssh(f"Host node1\n HostName 127.0.0.1\n Port {free_port()}\n")
        with pytest.raises(LinkError, match="Connection refused") as caught:
            openssh()
        assert not caught.value.transient

    def test_silent_port(self, use_ssh):
        """Given up in time, and nothing is left of it."""
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            use_ssh(f"Host node1\n HostName 127.0.0.1\n Port {silent.getsockname()[1]}\n")
            began = time.monotonic()
            with pytest.raises(LinkError) as caught:
                openssh(timeout_s=1)
        assert not caught.value.transient
        assert time.monotonic() - began < 4
