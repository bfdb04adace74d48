"""Commands in the hosts of a lab, with an engine that is made up."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

from dgrid.lab.execute import Command, Output, capture
from dgrid.lab.machine import Machine


def frame(kind: int, content: bytes) -> bytes:
    """A piece of output as Docker Engine sends it."""
    return struct.pack(">BxxxL", kind, len(content)) + content


def answer_one(server: socket.socket, answers: list[bytes]) -> None:
    """Gives each connection the next answer in one piece, and then the end."""
    for answer in answers:
        connection, _ = server.accept()
        with connection:
            request = connection.recv(65536)
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)


def json_answer(body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def test_output_that_comes_with_the_engines_answer(tmp_path: Path) -> None:
    """A busy engine's answer and the command's whole output may come in one piece: nothing of it is lost."""
    upgraded = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    answers = [
        json_answer(b'{"Id": "x"}'),
        upgraded + frame(1, b"out\n") + frame(2, b"err\n") + frame(1, b"more\n"),
        json_answer(b'{"ExitCode": 3}'),
    ]
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        threading.Thread(target=answer_one, args=(server, answers), daemon=True).start()
        done = capture(Machine(f"unix://{path}", "1.41", 1), "id", Command("root", ("true",)))
    assert done == Output(3, b"out\nmore\n", b"err\n")
