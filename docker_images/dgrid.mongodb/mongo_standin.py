#!/usr/bin/env python3
"""dgrid's stand-in for MongoDB, for where MongoDB's server cannot be had. It is not MongoDB.

It speaks enough of MongoDB's wire protocol for a MongoDB driver to connect, insert documents and find them again.
Everything is in memory and gone at the end; there are no users, no indexes, no transactions. What it does not know
it answers with an error, never with a guess, and ``buildInfo`` has a field ``standin`` that programs can look for.

    mongo_standin.py --port 27017

Source: the MongoDB manual, "Wire Protocol" (OP_MSG, OP_QUERY, OP_REPLY) and "Database Commands".
"""

from __future__ import annotations

import argparse
import socketserver
import struct
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import bson
from mongo_standin_store import CommandError, Store

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
CHECKSUM_PRESENT, MORE_TO_COME = 1, 2
KNOWN_FLAGS = CHECKSUM_PRESENT | MORE_TO_COME | 1 << 16
MAX_MESSAGE_BYTES = 48_000_000

Document = dict[str, Any]


class ProtocolError(Exception):
    """What came is not MongoDB's wire protocol; the connection is closed."""


def parse_msg(body: bytes) -> tuple[Document, bool]:
    """The command in an OP_MSG's body, and whether the sender wants an answer.

    Document sequences (section kind 1: the bulk of an insert) become lists in the command, as the manual says.
    """
    flags = struct.unpack_from("<I", body)[0]
    if flags & 0xFFFF & ~KNOWN_FLAGS:
        raise ProtocolError(f"OP_MSG with unknown required flags {flags:#x}")
    end = len(body) - (4 if flags & CHECKSUM_PRESENT else 0)
    command: Document = {}
    sequences: Document = {}
    at = 4
    while at < end:
        kind, size = struct.unpack_from("<Bi", body, at)
        at += 1
        section = body[at : at + size]
        at += size
        if kind == 0:
            command = bson.decode(section)
        elif kind == 1:
            name, documents = section[4:].split(b"\0", 1)
            sequences[name.decode()] = bson.decode_all(documents)
        else:
            raise ProtocolError(f"OP_MSG with an unknown section of kind {kind}")
    return {**command, **sequences}, not flags & MORE_TO_COME


def parse_query(body: bytes) -> Document:
    """The command in an OP_QUERY's body: drivers still open a conversation with one, to ask for ``hello``."""
    name, rest = body[4:].split(b"\0", 1)
    command: Document = bson.decode(rest[8:])
    return {**command, "$db": name.decode().split(".")[0]}


def format_msg(answer: Document) -> bytes:
    """The body of an OP_MSG with one document."""
    return struct.pack("<IB", 0, 0) + bson.encode(answer)


def format_reply(answer: Document) -> bytes:
    """The body of an OP_REPLY with one document."""
    return struct.pack("<IqII", 0, 0, 0, 1) + bson.encode(answer)


class Conversation(socketserver.StreamRequestHandler):
    """One client's connection: messages in, answers out, until the client leaves."""

    server: Server

    def handle(self) -> None:
        try:
            for request_id, opcode, body in self.messages():
                self.answer(request_id, opcode, body)
        except (ProtocolError, bson.InvalidBSON, struct.error, ValueError) as error:
            print(f"mongo_standin: {self.client_address[0]}: {error}; connection closed", flush=True)
        except ConnectionError:
            pass  # A driver leaves without a word; that is how it ends its pool.

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        while head := self.rfile.read(16):
            length, request_id, _, opcode = struct.unpack("<iiii", head)
            if not 16 < length <= MAX_MESSAGE_BYTES:
                raise ProtocolError(f"a message of {length} bytes")
            body = self.rfile.read(length - 16)
            if len(body) < length - 16:
                raise ProtocolError("the connection ended inside a message")
            yield request_id, opcode, body

    def answer(self, request_id: int, opcode: int, body: bytes) -> None:
        if opcode == OP_MSG:
            command, wanted = parse_msg(body)
            answer = format_msg(self.obey(command))
            answer_opcode = OP_MSG
        elif opcode == OP_QUERY:
            answer, wanted, answer_opcode = format_reply(self.obey(parse_query(body))), True, OP_REPLY
        else:
            raise ProtocolError(f"unknown kind of message {opcode}")
        if wanted:
            head = struct.pack("<iiii", 16 + len(answer), 0, request_id, answer_opcode)
            self.wfile.write(head + answer)

    def obey(self, command: Document) -> Document:
        try:
            return {**self.server.store.obey(command), "ok": 1.0}
        except CommandError as error:
            return {"ok": 0.0, "errmsg": str(error), "code": error.code, "codeName": error.code_name}
        except (KeyError, TypeError, AttributeError) as error:
            message = f"malformed command: {type(error).__name__}: {error}"
            return {"ok": 0.0, "errmsg": message, "code": 9, "codeName": "FailedToParse"}


class Server(socketserver.ThreadingTCPServer):
    """Listens on all addresses, one thread a client; all share one store."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("", port), Conversation)
        self.store = Store()


def main(arguments: Iterable[str]) -> None:
    parser = argparse.ArgumentParser(description="A stand-in for MongoDB: in memory, one process, not MongoDB.")
    parser.add_argument("--port", type=int, default=27017, help="port to listen on; 0 takes a free one")
    options = parser.parse_args(list(arguments))
    with Server(options.port) as server:
        print(
            "This is dgrid's stand-in for MongoDB, not MongoDB: all in memory, and it knows a few commands only.\n"
            f"mongo_standin: waiting for connections on port {server.server_address[1]}",
            flush=True,
        )
        server.serve_forever()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
