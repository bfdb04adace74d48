"""Last lines of images that count on being root, as their programs write them, and what is made of them."""

from __future__ import annotations

import pytest

from dgrid.nodes.hints import hint

OTHER_USER = "it tries to become another user"
OWNER = "it changes the owner of files"
LOW_PORT = "it wants a port below 1024"
PLACE = "it wants to use a file or directory that is root's"
ROOT = "it wants to be root"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("error: failed switching to \"redis\": operation not permitted", OTHER_USER),  # gosu
        ("su-exec: setgroups: Operation not permitted", OTHER_USER),
        ("setpriv: setgroups failed: Operation not permitted", OTHER_USER),
        ("su: Authentication failure", OTHER_USER),
        ("runuser: may not be used by non-root users", OTHER_USER),
        ('sudo: The "no new privileges" flag is set, which prevents sudo from running as root.', OTHER_USER),
        ("chown: changing ownership of '/data': Operation not permitted", OWNER),
        ("chown: /var/lib/mysql: Operation not permitted", OWNER),
        ("nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)", LOW_PORT),
        ("Bind to port 22 on 0.0.0.0 failed: Permission denied.", LOW_PORT),
        ("(13)Permission denied: AH00072: make_sock: could not bind to address [::]:80", LOW_PORT),
        ("mkdir: cannot create directory '/var/lib/grafana': Permission denied", PLACE),
        ("install: cannot change permissions of '/run/sshd': Permission denied", PLACE),
        ("Error: EACCES: permission denied, mkdir '/usr/src/app/node_modules'", PLACE),
        ("FATAL:  could not create lock file \"/var/run/postgresql/.s.PGSQL.5432.lock\": Permission denied", PLACE),
        ("rsyslogd: this program must be run as root", ROOT),
        ("dpkg: error: requested operation requires superuser privilege", ROOT),
        ("E: Could not open lock file - open (13), are you root?", ROOT),
        ("You need to be root to perform this command.", ROOT),
        ("Only root can do that", ROOT),
    ],
)  # fmt: skip
def test_reason_is_found(line: str, reason: str) -> None:
    """Each way of saying it gets its reason, among other lines too, and the image's name in what to do."""
    found = hint("registry:5000/some/image:1", f"starting\n{line}\nstopped\n")
    assert found is not None
    assert found.startswith(reason)
    assert "`dgrid image check registry:5000/some/image:1`" in found
    assert "`dgrid image build`" in found


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Killed",
        "initdb: error: cannot be run as root",
        "This program must not be run as root",
        "You should not run this as root",
        "Traceback (most recent call last):",
        "FileNotFoundError: [Errno 2] No such file or directory: '/var/x'",
        "Permission denied (publickey).",
        "bind: Address already in use: 0.0.0.0:80",
        "PermissionError: [Errno 13] Permission denied: '/home/alice/out'",
        "cannot bind 0.0.0.0:27017: Permission denied",
        "connection to 10.0.0.7:5432 refused",
        "has root node 17",
    ],
)
def test_other_failures_get_no_hint(line: str) -> None:
    """What has other causes is left alone: a wrong hint is worse than none."""
    assert hint("image", line) is None
