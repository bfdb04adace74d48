"""What paramiko alone takes for as many nodes: a login to each and one command there, 32 at a time, all connections
kept until the end. A byte on stdout tells that all are there.

    python3 bare_logins.py NODE...     (see scale.py, which runs it in place of dgrid)
"""

from __future__ import annotations

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import paramiko

_AT_A_TIME = 32
_QUIET_S = 30


def main() -> None:
    key = paramiko.Ed25519Key.from_private_key_file(str(Path("~/.ssh/id_ed25519").expanduser()))
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        connections = list(pool.map(partial(_log_in, key), sys.argv[1:]))
    os.write(1, b"x")
    for one in connections:
        one.close()


def _log_in(key: paramiko.PKey, node: str) -> paramiko.Transport:
    sock = socket.create_connection((node, 22))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(sock)
    options = transport.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)  # dgrid's choice: the quickest here
    transport.start_client()
    transport.auth_publickey("bench", key)
    channel = transport.open_session()
    channel.exec_command("exec sh -s")
    channel.sendall(b"true\n")
    channel.shutdown_write()
    while channel.recv(65536):
        pass
    if channel.recv_exit_status() != 0:
        raise SystemExit(f"{node}: the command failed")
    sock.settimeout(_QUIET_S)  # else paramiko looks ten times a second at each that is quiet
    return transport


if __name__ == "__main__":
    main()
