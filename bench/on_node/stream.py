"""What a head container's streams carry: MB/s of stdout, and the time of a keystroke there and back.

    python3 stream.py dgrid|docker bytes|keys NODE

Runs on a node, as the user of a lab. ``docker`` is `docker start --attach` of the same container, without a log, on
NODE: by ssh, if that is not this node. dgrid's head is always on this one.
"""

import json
import os
import pty
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMAGE = "debian:trixie-slim"
BYTES = 2_000_000_000
KEYS = 200
HERE = socket.gethostname()
COMMANDS = {
    "bytes": ["head", "-c", str(BYTES), "/dev/zero"],
    "keys": ["bash", "-c", "stty raw -echo; printf r; exec cat"],
}


def main():
    way, what, node = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=Path.home(), prefix="bench.") as directory:
        argv = (by_dgrid if way == "dgrid" else by_docker)(Path(directory), what, node)
        print(json.dumps(megabytes_per_s(argv) if what == "bytes" else keystroke_s(argv)))


def by_dgrid(directory, what, _node):
    head = {"name": "head", "interactive": True, "tty": what == "keys", "image": IMAGE, "run_cmd": COMMANDS[what]}
    (directory / "job.json").write_text(json.dumps({"containers": [head], "network": "host"}))
    (directory / "nodes").write_text(f"{HERE}\n")
    return ["dgrid", "-q", f"--hostfile={directory}/nodes", f"--dockdef={directory}/job.json"]


def by_docker(_directory, what, node):
    options = ["--interactive", "--log-driver", "none", "--network", "host", *(["--tty"] if what == "keys" else [])]
    create = at(node, ["docker", "create", "--rm", *options, IMAGE, *COMMANDS[what]])
    made = subprocess.run(create, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return at(node, ["docker", "start", "--attach", "--interactive", made], *(["-t"] if what == "keys" else []))


def at(node, argv, *options):
    return argv if node == HERE else ["ssh", *options, node, shlex.join(argv)]


def megabytes_per_s(argv):
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    received, began = len(os.read(process.stdout.fileno(), 1)), time.monotonic()
    while data := os.read(process.stdout.fileno(), 1 << 20):
        received += len(data)
    seconds = time.monotonic() - began
    assert process.wait() == 0
    assert received == BYTES
    return received / seconds / 1e6


def keystroke_s(argv):
    """The median of many, after the first ten."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    while b"r" not in os.read(terminal, 4096):
        pass
    taken = []
    for _ in range(KEYS):
        began = time.monotonic()
        os.write(terminal, b"x")
        assert b"x" in os.read(terminal, 16)
        taken.append(time.monotonic() - began)
        time.sleep(0.01)
    os.write(terminal, b"")
    subprocess.run(["kill", str(pid)], check=True)
    os.waitpid(pid, 0)
    return statistics.median(taken[10:])


if __name__ == "__main__":
    main()
