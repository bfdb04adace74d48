"""The engines' own floor, on one node: creates, starts and removals sent straight to the engine's socket.

Reads lines of JSON from stdin: first what to make, then "start" and "remove"; answers each with a line. With an archive
for a container, that is put into it before its start. It has all parsed and its connections open before it is told to
start. No library of dgrid's, nothing but HTTP.
"""

import base64
import http.client
import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from urllib.parse import quote

SOCKET = "/run/docker.sock"
API = "/v1.41"


class Engine(http.client.HTTPConnection):
    """One connection to the engine."""

    def __init__(self):
        super().__init__("engine")
        self.connect()

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)

    def call(self, method, path, body=None):
        """The answer's JSON; raises for every refusal. ``body`` is sent as JSON, bytes as an archive."""
        kind = "x-tar" if isinstance(body, bytes) else "json"
        data = json.dumps(body) if body is not None and kind == "json" else body
        self.request(method, API + path, data, {"Content-Type": f"application/{kind}"} if data else {})
        response = self.getresponse()
        text = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {text.decode()}")
        return json.loads(text) if text else None


class Run:
    """What one node has of a run; ``parallel`` connections at a time."""

    def __init__(self, wanted):
        self.networks = wanted["networks"]
        self.workers = wanted["workers"]
        self.head = wanted["head"]
        self.engines = SimpleQueue()
        for _ in range(wanted["parallel"]):
            self.engines.put(Engine())
        self.pool = ThreadPoolExecutor(wanted["parallel"])
        self.head_stream = None
        self.ids = []

    def call(self, *arguments):
        engine = self.engines.get()
        try:
            return engine.call(*arguments)
        finally:
            self.engines.put(engine)

    def start(self):
        for body in self.networks:
            self.call("POST", "/networks/create", body)
        list(self.pool.map(self.make, self.workers))
        if self.head is not None:
            self.start_head()

    def make(self, worker):
        self.call("POST", f"/containers/{self.create(worker)}/start")

    def create(self, one):
        made = self.call("POST", f"/containers/create?name={quote(one['create'])}", one["body"])["Id"]
        self.ids.append(made)
        if "archive" in one:
            self.call("PUT", f"/containers/{made}/archive?path=/", base64.b64decode(one["archive"]))
        return made

    def start_head(self):
        made = self.create(self.head)
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(SOCKET)
        path = f"{API}/containers/{made}/attach?stream=1&stdin=1&stdout=1"
        stream.sendall(f"POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
        self.head_stream = stream.makefile("rwb", buffering=0)
        while self.head_stream.readline() != b"\r\n":
            pass
        self.call("POST", f"/containers/{made}/start")
        self.byte()

    def byte(self):
        """One byte of the head's stdout: a frame of it."""
        assert self.head_stream.read(8) and self.head_stream.read(1)

    def end_head(self):
        if self.head_stream is not None:
            self.head_stream.write(b"\n")
            self.byte()

    def remove(self):
        list(self.pool.map(lambda one: self.call("DELETE", f"/containers/{one}?force=1&v=1"), self.ids))
        for body in self.networks:
            self.call("DELETE", f"/networks/{quote(body['Name'])}")


def main():
    run = Run(json.loads(sys.stdin.readline()))
    print("ready", flush=True)
    for line in sys.stdin:
        {"start": run.start, "end": run.end_head, "remove": run.remove}[line.strip()]()
        print("done", flush=True)


if __name__ == "__main__":
    main()
