"""ssh between the containers of a run: keys made for this run alone, and the files that make them work.

sshd_config(5) and ssh_config(5) say what each line means.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from dgrid.plan.request import FileToPlace
from dgrid.record import record

DIRECTORY = "/dgrid/ssh"
SYSTEM_CONFIG = "/etc/ssh/ssh_config.d/dgrid.conf"


@record
class RunKeys:
    """A user's key pair and a host's, in OpenSSH's formats; private halves are never shown."""

    user_private: bytes = field(repr=False)
    user_public: str
    host_private: bytes = field(repr=False)
    host_public: str


# A dry run shows which files there will be; their content is made by the run.
UNMADE = RunKeys(b"(made by the run)\n", "(made by the run)", b"(made by the run)\n", "(made by the run)")


def ssh_files(keys: RunKeys, user: str, port: int, hosts: Iterable[str]) -> tuple[FileToPlace, ...]:
    """The files under /dgrid/ssh, and the system-wide client configuration, in every container of a run.

    ``ssh worker-1`` then needs no option, and asks no question; a server is started by
    ``/usr/sbin/sshd -D -e -f /dgrid/ssh/sshd_config``. ``hosts`` are names or patterns: other hosts are not touched.
    """
    client = _CLIENT.format(hosts=" ".join(hosts), port=port, user=user, directory=DIRECTORY).encode()
    server = _SERVER.format(port=port, user=user, directory=DIRECTORY).encode()
    return (
        FileToPlace(f"{DIRECTORY}/id_ed25519", keys.user_private, 0o600, secret=True),
        FileToPlace(f"{DIRECTORY}/id_ed25519.pub", f"{keys.user_public}\n".encode(), 0o644),
        FileToPlace(f"{DIRECTORY}/authorized_keys", f"{keys.user_public}\n".encode(), 0o644),
        FileToPlace(f"{DIRECTORY}/host_key", keys.host_private, 0o600, secret=True),
        FileToPlace(f"{DIRECTORY}/known_hosts", f"dgrid-run {keys.host_public}\n".encode(), 0o644),
        FileToPlace(f"{DIRECTORY}/config", client, 0o644),
        FileToPlace(f"{DIRECTORY}/sshd_config", server, 0o644),
        FileToPlace(SYSTEM_CONFIG, client, 0o644, by_root=True),
    )


_CLIENT = """# Made by dgrid for this run; HostKeyAlias: all its servers have one host key, whatever their names.
Host {hosts}
    Port {port}
    User {user}
    IdentityFile {directory}/id_ed25519
    IdentitiesOnly yes
    UserKnownHostsFile {directory}/known_hosts
    HostKeyAlias dgrid-run
    StrictHostKeyChecking yes
    BatchMode yes
"""

_SERVER = """# Made by dgrid for this run; UsePAM and a pid file are root's.
Port {port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
AllowUsers {user}
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
PrintMotd no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
"""
