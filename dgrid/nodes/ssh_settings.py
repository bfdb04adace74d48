"""How ssh itself would reach a host: user, port, keys, known hosts, jumps; asked of ``ssh -G``."""

from __future__ import annotations

import os
import pwd
import re
import subprocess

from dgrid.errors import LinkError
from dgrid.nodes.known_hosts import host_name_in_file
from dgrid.record import record

# What paramiko cannot do; a host whose settings have one of these is reached through the OpenSSH client.
_ONLY_OPENSSH = {
    "proxyjump": "none",
    "proxycommand": "none",
    "hostbasedauthentication": "no",
    "certificatefile": "none",
    "knownhostscommand": "none",
    "pkcs11provider": "none",
    "revokedhostkeys": "none",
}
_USUAL_AGENTS = ("none", "SSH_AUTH_SOCK")
_PLACEHOLDER = re.compile(r"%([%dhnpru])")


@record
class SshSettings:
    """The settings of ssh_config(5) that matter here, for one host.

    ``known_as`` is the name the host key stands by in known_hosts ("[node1]:2222"). ``needs_openssh`` names the
    first setting that paramiko cannot follow, None if there is none. ``gssapi`` is on by default in Debian, so it
    counts only for a user without keys. ``accept_unknown`` is true for StrictHostKeyChecking "no", "off" and
    "accept-new", which tell ssh to take an unknown key.
    """

    host: str
    port: int
    user: str
    identity_files: tuple[str, ...]
    known_hosts_files: tuple[str, ...]
    known_as: str
    use_agent: bool
    gssapi: bool
    accept_unknown: bool
    needs_openssh: str | None


def ask_ssh(node: str) -> str:
    """What the ssh client says, which follows Include, Match and the site's /etc/ssh. 5 ms. Raises LinkError."""
    try:
        done = subprocess.run(["ssh", "-G", "--", node], capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError as error:
        raise LinkError(
            node, "the ssh client is not installed on this machine; dgrid reads your ssh settings through it"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LinkError(node, "ssh -G did not answer within 10 s; look at your ssh configuration") from error
    if done.returncode != 0:
        raise LinkError(node, f"your ssh configuration is not accepted: {done.stderr.strip()}")
    return done.stdout


def parse_ssh_settings(text: str) -> SshSettings:
    """From the output of ``ssh -G host``: lines of a lower-case key and its value."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        values.setdefault(key, []).append(value)

    def one(key: str, default: str) -> str:
        return values.get(key, [default])[0]

    host, port, user = one("hostname", ""), int(one("port", "22")), one("user", "")
    account = pwd.getpwuid(os.getuid())  # not $HOME: ssh does not look at it
    known = one("userknownhostsfile", "").split() + one("globalknownhostsfile", "").split()
    alias = one("hostkeyalias", "none")
    # `ssh -G` tells names of key files as they are written; TOKENS in ssh_config(5).
    tokens = {"%": "%", "d": account.pw_dir, "u": account.pw_name, "r": user, "p": str(port)}
    tokens |= {"h": host, "n": one("host", host)}
    return SshSettings(
        host=host,
        port=port,
        user=user,
        identity_files=tuple(
            _PLACEHOLDER.sub(lambda found: tokens[found[1]], _in_home(file, account.pw_dir))
            for file in values.get("identityfile", [])
        ),
        known_hosts_files=tuple(_in_home(file, account.pw_dir) for file in known),
        known_as=alias if alias != "none" else host_name_in_file(host, port),
        use_agent=one("identityagent", "SSH_AUTH_SOCK") != "none",
        gssapi=one("gssapiauthentication", "no") == "yes",
        accept_unknown=one("stricthostkeychecking", "ask") in ("false", "no", "off", "accept-new"),
        needs_openssh=next(
            (key for key, off in _ONLY_OPENSSH.items() if one(key, off) != off),
            None if one("identityagent", "none") in _USUAL_AGENTS else "identityagent",
        ),
    )


def _in_home(file: str, home: str) -> str:
    return f"{home}/{file[2:]}" if file.startswith("~/") else file
