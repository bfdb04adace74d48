"""Simulated nodes, for sizes that no machine holds: one process that speaks real ssh and answers as engines do.

Each address of 127.0.0.0/8 is another node, with an engine of its own behind its socket: containers can be created,
given files, started, listed and removed, and each call takes as long as it took on a node of a lab. Nothing runs.
What dgrid does is real: its connections, its logins, its requests, its memory.

    python3 simulated.py SETTINGS.json     (see scale.py, which writes it)
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncssh

_DEAD_S = 3600


class Node:
    """One engine: what it has, how slow it is."""

    def __init__(self, latencies: dict[str, float], slower: float) -> None:
        self.containers: dict[str, dict[str, Any]] = {}
        self.listeners: list[asyncio.Queue[bytes]] = []
        self.attached: dict[str, asyncio.Queue[bytes]] = {}
        self.starting = asyncio.Semaphore(2)
        self._latencies = latencies
        self._slower = slower

    async def takes(self, call: str) -> None:
        await asyncio.sleep(self._latencies.get(call, 0.001) * self._slower)

    async def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, Any]:
        """Status, and what is answered as JSON, or as it is if it is bytes."""
        for wanted, pattern, action in ROUTES:
            found = re.fullmatch(pattern, path)
            if method == wanted and found:
                return await action(self, *found.groups(), query, body)
        return 404, {"message": f"simulated engine: no {method} {path}"}

    async def version(self, _query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("version")
        return 200, {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Arch": "amd64"}

    async def info(self, _query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("info")
        swarm = {"LocalNodeState": "inactive"}
        return 200, {"InitBinary": "docker-init", "Swarm": swarm, "CgroupDriver": "cgroupfs", "CgroupVersion": "2"}

    async def image(self, _name: str, _query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("image")
        return 200, {"Id": "sha256:" + "1" * 64, "Architecture": "amd64", "Config": {}, "RootFS": {"Layers": []}}

    async def create(self, query: Any, body: bytes) -> tuple[int, Any]:
        await self.takes("create")
        name = query["name"][0]
        made = hashlib.sha256(name.encode()).hexdigest()
        labels = json.loads(body)["Labels"]
        self.containers[made] = {"Id": made, "name": name, "Labels": labels, "status": "created"}
        return 201, {"Id": made, "Warnings": []}

    async def file(self, _made: str, query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("file")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.addfile(tarfile.TarInfo(Path(query["path"][0]).name))
        return 200, buffer.getvalue()

    async def put(self, _made: str, _query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("put")
        return 200, b""

    async def start(self, made: str, _query: Any, _body: bytes) -> tuple[int, Any]:
        async with self.starting:
            await self.takes("start")
        self.containers[made]["status"] = "running"
        if made in self.attached:  # the head: it says one byte and ends
            self.attached[made].put_nowait(b"\x01\0\0\0\0\0\0\x01a")
            self._end(made)
        return 204, b""

    async def inspect(self, made: str, _query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("inspect")
        if made not in self.containers:
            return 404, {"message": "no such container"}
        one = self.containers[made]
        state = {"Running": one["status"] == "running", "Status": one["status"], "ExitCode": 0, "Pid": 0}
        return 200, {"Id": made, "Name": one["name"], "State": state, "Config": {"Tty": False}}

    async def list(self, query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("list")
        labels = set(json.loads(query["filters"][0])["label"])
        found = [
            one
            for one in self.containers.values()
            if labels <= {f"{key}={value}" for key, value in one["Labels"].items()}
            and (query["all"] == ["1"] or one["status"] == "running")
        ]
        return 200, [{"Id": one["Id"]} for one in found]

    async def kill(self, made: str, _query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("kill")
        self._end(made)
        return 204, b""

    async def remove(self, made: str, _query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("remove")
        self._end(made)
        self.containers.pop(made, None)
        return 204, b""

    async def networks(self, _query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("list")
        return 200, []

    async def create_network(self, _query: Any, _body: bytes) -> tuple[int, Any]:
        await self.takes("create")
        return 201, {"Id": "1"}

    def _end(self, made: str) -> None:
        if made not in self.containers or self.containers[made]["status"] == "exited":
            return
        self.containers[made]["status"] = "exited"
        event = json.dumps({"status": "die", "Actor": {"ID": made}}).encode() + b"\n"
        for listener in self.listeners:
            listener.put_nowait(b"%x\r\n%s\r\n" % (len(event), event))
        if made in self.attached:
            self.attached[made].put_nowait(b"")


V = r"/v1\.41"
ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/version", Node.version),
    ("GET", f"{V}/info", Node.info),
    ("GET", f"{V}/images/(.+)/json", Node.image),
    ("POST", f"{V}/containers/create", Node.create),
    ("GET", f"{V}/containers/json", Node.list),
    ("GET", f"{V}/containers/(\\w+)/archive", Node.file),
    ("PUT", f"{V}/containers/(\\w+)/archive", Node.put),
    ("POST", f"{V}/containers/(\\w+)/start", Node.start),
    ("GET", f"{V}/containers/(\\w+)/json", Node.inspect),
    ("POST", f"{V}/containers/(\\w+)/kill", Node.kill),
    ("DELETE", f"{V}/containers/(\\w+)", Node.remove),
    ("GET", f"{V}/networks", Node.networks),
    ("POST", f"{V}/networks/create", Node.create_network),
)


class Cluster:
    """All nodes, by the address they are reached at; "" is this machine."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._latencies = settings["latencies_s"]
        self._uid = settings["uid"]
        self._slow = set(settings["slow"])
        self._nodes: dict[str, Node] = {}
        self._scripts: dict[bytes, bytes] = {}

    def node(self, address: str) -> Node:
        if address not in self._nodes:
            self._nodes[address] = Node(self._latencies, 10 if address in self._slow else 1)
        return self._nodes[address]

    async def serve_engine(self, node: Node, reader: Any, writer: Any) -> None:
        """One connection to an engine: requests, one after the other."""
        try:
            while head := await _until_blank_line(reader):
                method, target, _ = head.split(b"\r\n")[0].decode().split(" ", 2)
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length and int(length[1]) else b""
                path, query = unquote(urlsplit(target).path), parse_qs(urlsplit(target).query)
                if path.endswith("/events"):
                    return await self._stream(node.listeners, writer)
                if path.endswith("/attach"):
                    return await self._attach(node, path.split("/")[-2], writer)
                status, answer = await node.answer(method, path, query, body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                rest = b"" if status == 204 else b"Content-Length: %d\r\n\r\n%s" % (len(data), data)
                writer.write(b"HTTP/1.1 %d OK\r\n%s" % (status, rest or b"\r\n"))
        except (asyncio.IncompleteReadError, ConnectionError, asyncssh.Error, BrokenPipeError):
            pass
        finally:
            writer.close()

    async def _stream(self, listeners: list[asyncio.Queue[bytes]], writer: Any) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        listeners.append(queue)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(await queue.get())

    async def _attach(self, node: Node, made: str, writer: Any) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        node.attached[made] = queue
        writer.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        while data := await queue.get():
            writer.write(data)

    async def run_process(self, process: Any) -> None:
        """A command on a node: the leash answers, any other script is run once on this machine, for all nodes."""
        command = process.command or ""
        count = re.search(r"head -c (\d+)", command)
        try:
            if count:
                await process.stdin.readexactly(int(count[1]))
                await self._leash(process)
                process.exit(0)
                return
            script = await process.stdin.read()
            if script not in self._scripts:
                done = await asyncio.to_thread(
                    subprocess.run, ["sh", "-s"], input=script, capture_output=True, user=self._uid
                )
                self._scripts[script] = done.stdout
            process.stdout.write(self._scripts[script])
            process.exit(0)
        except (asyncio.IncompleteReadError, asyncssh.Error, ConnectionError):
            process.close()

    async def _leash(self, process: Any) -> None:
        process.stdout.write(b"leash on\n")
        answers = {b"beat": b"ok\n", b"pause": b"paused\n"}
        while (line := await process.stdin.readline()) and line.strip() not in (b"done", b"leave"):
            if line.strip() in answers:
                process.stdout.write(answers[line.strip()])


class Sshd(asyncssh.SSHServer):
    """The ssh server of whichever node was connected to."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._address = ""

    def connection_made(self, conn: Any) -> None:
        self._address = conn.get_extra_info("sockname")[0]

    def unix_connection_requested(self, _dest_path: str) -> Any:
        node = self._cluster.node(self._address)
        return lambda reader, writer: self._cluster.serve_engine(node, reader, writer)


async def _until_blank_line(reader: Any) -> bytes:
    try:
        return bytes(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError:
        return b""


async def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    cluster = Cluster(settings)
    for address in settings["dead"]:
        # As a host that hangs: its kernel takes connections, and nothing is ever said.
        await asyncio.start_server(lambda _r, _w: asyncio.sleep(_DEAD_S), address, 22, reuse_port=True)
    await asyncssh.create_server(
        lambda: Sshd(cluster),
        "0.0.0.0",
        22,
        reuse_address=True,
        reuse_port=True,  # the dead ones listen there, too, each on its own address
        server_host_keys=[settings["host_key"]],
        authorized_client_keys=settings["authorized_keys"],
        process_factory=cluster.run_process,
        encoding=None,
        backlog=4096,
        login_timeout=120,
    )
    local = cluster.node("")
    await asyncio.start_unix_server(lambda r, w: cluster.serve_engine(local, r, w), settings["socket"], backlog=1024)
    Path(settings["socket"]).chmod(0o666)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main())
