"""What paramiko alone takes for as many nodes: a login to each, one command, and as many requests to its engine as
dgrid makes for one container, 32 nodes at a time. All connections are kept to the end, which a byte on stdout tells.

    python3 bare_paramiko.py NODE...     (see scale.py, which runs it in place of dgrid)
"""

from __future__ import annotations

import os
import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from dgrid.nodes.ssh_transport import new_transport

if TYPE_CHECKING:
    from paramiko import Channel, PKey, Transport

REQUESTS = 14
"""Counted at a simulated engine, without its events: two to meet it, image, create, files, start, and eight to end and
remove the container and to see that nothing is left."""
_AT_A_TIME = 32
_WAIT_S = 30


def main() -> None:
    key = paramiko.Ed25519Key.from_private_key_file(str(Path("~/.ssh/id_ed25519").expanduser()))
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        connections = list(pool.map(partial(_speak, key), sys.argv[1:]))
    os.write(1, b"x")
    for one in connections:
        one.close()


def _speak(key: PKey, node: str) -> Transport:
    sock = socket.create_connection((node, 22))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = new_transport(sock, (), _WAIT_S)  # paramiko's, with dgrid's choice of ciphers and with unix sockets
    transport.start_client()
    transport.auth_publickey("bench", key)
    _run(transport, node)
    engine = transport.open_unix_socket("/run/docker.sock", _WAIT_S)  # type: ignore[attr-defined]
    for _ in range(REQUESTS):
        _request(engine)
    sock.settimeout(_WAIT_S)  # else paramiko looks ten times a second at each that is quiet
    return transport


def _run(transport: Transport, node: str) -> None:
    channel = transport.open_session()
    channel.exec_command("exec sh -s")
    channel.sendall(b"true\n")
    channel.shutdown_write()
    while channel.recv(65536):
        pass
    if channel.recv_exit_status() != 0:
        raise SystemExit(f"{node}: the command failed")


def _request(engine: Channel) -> None:
    engine.sendall(b"GET /version HTTP/1.1\r\nHost: engine\r\n\r\n")
    received = b""
    while not (answer := re.match(rb"(?s)HTTP/1.1 200 .*?Content-Length: (\d+)\r\n\r\n", received)):
        received += engine.recv(65536)
    while len(received) < answer.end() + int(answer[1]):
        received += engine.recv(65536)


if __name__ == "__main__":
    main()
