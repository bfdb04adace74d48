"""Times one start and one end of a job's containers, made in one of five ways; prints them as a line of JSON.

    python3 times.py dgrid|engines|files|ssh|compose|parts CONTAINERS NODE...

Runs on the first node, as the user of a lab. The head says "a" as soon as it runs, and "b" when it is sent a line; the
others sleep.

start_s     from the moment the command is given to the head's first byte
end_s       from the head's last byte until all containers are gone
"""

import base64
import io
import json
import secrets
import shlex
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

IMAGE = "debian:trixie-slim"
HEAD = ["bash", "-c", "printf a; read -r; printf b"]
SLEEP = ["sleep", "600"]
HERE = Path(__file__).resolve().parent


def main():
    way, containers, nodes = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    with tempfile.TemporaryDirectory(dir=Path.home(), prefix="bench.") as directory:
        files = Files(Path(directory), containers, nodes)
        print(json.dumps(WAYS[way](files)))


class Files:
    """The same job as each way wants it: a definition and a node file, a plan of it, a compose file."""

    def __init__(self, directory, containers, nodes):
        self.directory, self.nodes, self.workers = directory, nodes, containers - 1
        slots = -(-containers // len(nodes))
        self.write("nodes", "".join(f"{node}\n" * slots for node in nodes))
        head = {"name": "head", "interactive": True, "image": IMAGE, "run_cmd": HEAD}
        workers = {"name": "w", "image": IMAGE, "run_cmd": SLEEP, "scale": self.workers}
        self.write("job.json", json.dumps({"containers": [head, *([workers] if self.workers else [])]}))
        services = {"head": {"image": IMAGE, "command": ["bash", "-c", "echo a; sleep 600"]}}
        if self.workers:
            services["head"]["depends_on"] = ["w"]
            services["w"] = {"image": IMAGE, "command": SLEEP, "deploy": {"replicas": self.workers}}
        self.write("compose.json", json.dumps({"services": services}))
        self.options = [f"--hostfile={directory / 'nodes'}", f"--dockdef={directory / 'job.json'}"]

    def write(self, name, text):
        (self.directory / name).write_text(text)

    def plan(self):
        """What dgrid would send, made sendable: with a session, and the nodes' addresses."""
        text = subprocess.run(["dgrid", "plan", "--json", *self.options], check=True, stdout=subprocess.PIPE).stdout
        text = text.decode().replace("SESSION", secrets.token_hex(6))
        for node in self.nodes:
            text = text.replace(f"{{{node}}}", socket.gethostbyname(node))
        return json.loads(text)


def timed_head(argv, directory):
    """Starts what attaches to the head; the process, and the time until the head's first byte."""
    began = time.monotonic()
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=directory)
    assert process.stdout.read(1) == b"a", process.stderr.read().decode()
    return process, time.monotonic() - began


def last_byte(process):
    """Ends the head; the moment of its last byte."""
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.read(1) == b"b"
    return time.monotonic()


def by_dgrid(files):
    process, start_s = timed_head(["dgrid", "--quiet", *files.options], files.directory)
    time.sleep(1)
    ended = last_byte(process)
    assert process.wait() == 0, process.stderr.read().decode()  # with a time limit it would look every 50 ms only
    return {"start_s": start_s, "end_s": time.monotonic() - ended}


def by_engines(files):
    return straight(files.plan())


def by_engines_with_files(files):
    """What dgrid puts into each container is put there, too, which is more work of the engines."""
    plan = files.plan()
    for one in plan["instances"]:
        one["archive"] = base64.b64encode(archive(one)).decode()
    return straight(plan)


def archive(instance):
    """Files of the places and about the sizes of dgrid's."""
    accounts = [
        {"path": path, "mode": "0644", "text": Path(path).read_text()} for path in ("/etc/passwd", "/etc/group")
    ]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in (*instance["files"], *accounts):
            entry = tarfile.TarInfo(file["path"].lstrip("/"))
            entry.mode = int(file["mode"], 8)
            entry.uid, entry.gid = map(int, instance["body"]["User"].split(":"))
            content = (file["text"] or "").encode()
            entry.type, entry.size = (tarfile.DIRTYPE, 0) if file["text"] is None else (tarfile.REGTYPE, len(content))
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def straight(plan):
    """One process a node, which asks its engine and does nothing else."""
    parts = [Part(node, plan) for node in dict.fromkeys(one["node"] for one in plan["instances"])]
    for part in parts:
        part.answer("ready")
    with ThreadPoolExecutor(len(parts)) as pool:
        start_s = all_at_once(pool, parts, "start")
        time.sleep(1)
        all_at_once(pool, parts, "end")
        return {"start_s": start_s, "end_s": all_at_once(pool, parts, "remove")}


def all_at_once(pool, parts, word):
    """Seconds until every node has answered."""
    began = time.monotonic()
    list(pool.map(lambda part: part.tell(word), parts))
    return time.monotonic() - began


class Part:
    """The process of one node, which talks to its engine alone."""

    def __init__(self, node, plan):
        mine = [one for one in plan["instances"] if one["node"] == node]
        wanted = {
            "networks": [one["body"] for one in plan["networks"] if one["node"] == node],
            "workers": [one for one in mine if one["container"] != "head"],
            "head": next((one for one in mine if one["container"] == "head"), None),
            "parallel": min(8, len(mine)),
        }
        argv = ["python3", str(HERE / "engines.py")]
        argv = argv if node == socket.gethostname() else ["ssh", node, shlex.join(argv)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.say(json.dumps(wanted))

    def say(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self, word):
        assert self.process.stdout.readline().strip() == word

    def tell(self, word):
        self.say(word)
        self.answer("done")


def by_ssh(files):
    """As a user's script would: everything at once, then the head."""
    plan = files.plan()
    mode = plan["instances"][0]["body"]["HostConfig"]["NetworkMode"]
    options = ["--user", f"{plan_user(plan)}", "--network", mode, "--init"]
    began = time.monotonic()
    for network in plan["networks"]:
        subprocess.run(["docker", "network", "create", network["body"]["Name"]], check=True, stdout=subprocess.DEVNULL)
    workers = [one for one in plan["instances"] if one["container"] != "head"]
    run = ["docker", "run", "-d", *options]
    running = [on(one["node"], [*run, "--name", one["create"], IMAGE, *SLEEP]) for one in workers]
    assert all(process.wait() == 0 for process in running)
    name = next(one["create"] for one in plan["instances"] if one["container"] == "head")
    process, _ = timed_head(["docker", "run", "-i", "--name", name, *options, IMAGE, *HEAD], files.directory)
    start_s = time.monotonic() - began
    time.sleep(1)
    ended = last_byte(process)
    names = {node: [one["create"] for one in plan["instances"] if one["node"] == node] for node in files.nodes}
    removing = [on(node, ["docker", "rm", "-f", *mine]) for node, mine in names.items() if mine]
    assert all(process.wait() == 0 for process in removing)
    for network in plan["networks"]:
        subprocess.run(["docker", "network", "rm", network["body"]["Name"]], check=True, stdout=subprocess.DEVNULL)
    return {"start_s": start_s, "end_s": time.monotonic() - ended}


def plan_user(plan):
    return plan["instances"][0]["body"]["User"]


def on(node, argv):
    """A command there, by ssh where that is not this node."""
    argv = argv if node == socket.gethostname() else ["ssh", "-n", node, shlex.join(argv)]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def by_compose(files):
    """`docker compose up`, on one node: until it shows the head's first line."""
    compose = ["docker", "compose", "-f", "compose.json"]
    began = time.monotonic()
    argv = [*compose, "up", "--no-log-prefix", "--attach", "head"]
    process = subprocess.Popen(argv, cwd=files.directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while line := process.stdout.readline():
        if line.strip().removeprefix(b"\x1b[2K") == b"a":  # it erases its own line first
            break
    assert line, "the head did not begin"
    start_s = time.monotonic() - began
    process.kill()
    began = time.monotonic()
    subprocess.run([*compose, "down", "-t", "0"], cwd=files.directory, check=True, stderr=subprocess.DEVNULL)
    return {"start_s": start_s, "end_s": time.monotonic() - began}


def parts(files):
    """What comes before any engine is asked: dgrid's program with the plan made, and logging in to all other nodes.

    The login is OpenSSH's, with a command that does nothing.
    """
    began = time.monotonic()
    subprocess.run(["dgrid", "plan", *files.options], check=True, stdout=subprocess.DEVNULL)
    plan_s, began = time.monotonic() - began, time.monotonic()
    logins = [on(node, ["true"]) for node in files.nodes[1:]]
    assert all(process.wait() == 0 for process in logins)
    return {"plan_s": plan_s, "login_s": time.monotonic() - began}


WAYS = {
    "dgrid": by_dgrid,
    "engines": by_engines,
    "files": by_engines_with_files,
    "ssh": by_ssh,
    "compose": by_compose,
    "parts": parts,
}

if __name__ == "__main__":
    main()
