"""What `ssh -G` says, read."""

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from dgrid.nodes.ssh_settings import parse_ssh_settings

HOME = pwd.getpwuid(os.getuid()).pw_dir


@pytest.fixture
def settings(tmp_path):
    """The settings for a host under a configuration, as the real ssh client tells them."""

    def parse(config, host="node1"):
        file = tmp_path / "config"
        file.write_text(config)
        done = subprocess.run(["ssh", "-F", file, "-G", "--", host], capture_output=True, text=True, check=True)
        return parse_ssh_settings(done.stdout)

    return parse


def test_without_any_configuration(settings):
    """ssh's own defaults: port 22, the user, their keys, their and the site's known hosts."""
    found = settings("")
    assert (found.host, found.port, found.known_as) == ("node1", 22, "node1")
    assert found.user == pwd.getpwuid(os.getuid()).pw_name
    assert f"{HOME}/.ssh/id_ed25519" in found.identity_files
    assert f"{HOME}/.ssh/id_rsa" in found.identity_files
    assert found.known_hosts_files[0] == f"{HOME}/.ssh/known_hosts"
    assert "/etc/ssh/ssh_known_hosts" in found.known_hosts_files
    assert (found.use_agent, found.accept_unknown, found.needs_openssh) == (True, False, None)


def test_what_a_user_may_set(settings):
    """Name, port, user, keys, known hosts, agent."""
    found = settings(
        "Host node1\n HostName node1.example.org\n Port 2222\n User alice\n IdentityFile /keys/one\n"
        " IdentityFile ~/two\n UserKnownHostsFile /kh/a /kh/b\n GlobalKnownHostsFile /dev/null\n IdentityAgent none\n"
    )
    assert (found.host, found.port, found.user) == ("node1.example.org", 2222, "alice")
    assert found.identity_files == ("/keys/one", f"{HOME}/two")
    assert found.known_hosts_files == ("/kh/a", "/kh/b", "/dev/null")
    assert not found.use_agent


def test_placeholders_in_the_names_of_key_files(settings):
    """%d, %h, %n, %p, %r, %u and %% stand for what ssh_config(5) says; `ssh -G` prints them as they are written."""
    found = settings(
        "Host short\n HostName long.example.org\n User alice\n Port 2200\n IdentityFile %d/.ssh/%h-%n-%p-%r-%%\n"
        " IdentityFile /keys/%u\n",
        host="short",
    )
    user = pwd.getpwuid(os.getuid()).pw_name
    assert found.identity_files == (f"{HOME}/.ssh/long.example.org-short-2200-alice-%", f"/keys/{user}")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("", "node1"),
        ("Port 2222\n", "[node1]:2222"),
        ("HostName Node9\nPort 2222\n", "[node9]:2222"),
        ("HostKeyAlias cluster\n", "cluster"),
        ("HostKeyAlias cluster\nPort 2222\n", "cluster"),
    ],
)
def test_the_name_the_host_key_is_looked_up_by(settings, config, name):
    """An alias stands in known_hosts as it is, whatever the port; a name with its port."""
    assert settings(config).known_as == name


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("ProxyJump gate\n", "proxyjump"),
        ("ProxyCommand nc %h %p\n", "proxycommand"),
        ("ProxyJump none\n", None),
        ("HostbasedAuthentication yes\n", "hostbasedauthentication"),
        ("CertificateFile /keys/cert\n", "certificatefile"),
        ("KnownHostsCommand /bin/true\n", "knownhostscommand"),
        ("PKCS11Provider /usr/lib/x.so\n", "pkcs11provider"),
        ("RevokedHostKeys /etc/ssh/revoked\n", "revokedhostkeys"),
        ("IdentityAgent /run/agent\n", "identityagent"),
        ("IdentityAgent SSH_AUTH_SOCK\n", None),
    ],
)
def test_what_only_the_ssh_client_can_do(settings, config, reason):
    """Such a host is not for paramiko; the setting is named."""
    assert settings(config).needs_openssh == reason


@pytest.mark.parametrize(
    ("value", "accepts"), [("ask", False), ("yes", False), ("accept-new", True), ("no", True), ("off", True)]
)
def test_unknown_host_keys_are_taken_only_where_ssh_would(settings, value, accepts):
    """StrictHostKeyChecking."""
    assert settings(f"StrictHostKeyChecking {value}\n").accept_unknown is accepts


def test_include_and_match_are_followed(settings, tmp_path):
    """As it is the ssh client that reads the configuration."""
    more = Path(tmp_path / "more")
    more.write_text("Match host node1\n Port 2022\n")
    assert settings(f"Include {more}\n").port == 2022
