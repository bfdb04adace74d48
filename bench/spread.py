"""How long an image takes to get to many nodes, against one copy of it: `.venv/bin/python bench/spread.py`.

It starts a lab of its own (one node with the image, N that lack it), limits with tc what the node with the image may
send, and prints a row of the table in bench/README.md. As root; it needs what `make demo` needs, and 20 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time

DGRID = (sys.executable, "-m", "dgrid")
IMAGE = "localhost/alice/bench:1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8, help="how many nodes lack the image")
    parser.add_argument("--megabytes", type=int, default=500, help="the image's size")
    parser.add_argument("--mbit", type=int, default=50, help="what the node with the image may send in a second")
    parser.add_argument("--lose", action="store_true", help="stop the node in the middle of the chain halfway through")
    options = parser.parse_args()
    lab = f"bench{os.getpid()}"
    up = [*DGRID, "lab", "up", "--name", lab, "--nodes", str(options.nodes + 1)]
    subprocess.run(up, check=True, stdout=sys.stderr)
    try:
        measure(lab, options)
    finally:
        subprocess.run([*DGRID, "lab", "down", "--name", lab], check=True, stdout=sys.stderr)


def measure(lab: str, options: argparse.Namespace) -> None:
    content = f"d=$(mktemp -d) && head -c {options.megabytes}000000 /dev/urandom > $d/content"
    on(lab, "node1", f"{content} && tar c -C $d . | docker import - {IMAGE} && rm -r $d", "root")
    on(lab, "node1", f"tc qdisc add dev eth0 root tbf rate {options.mbit}mbit burst 256kb latency 100ms", "root")
    one = spread(lab, ["node1", "node2"], options)
    on(lab, "node2", f"docker image rm {IMAGE}", "root")
    lost = f"dgrid-lab-{lab}-node{options.nodes // 2 + 1}" if options.lose else None
    all_nodes = spread(lab, [f"node{number}" for number in range(1, options.nodes + 2)], options, lost)
    nodes = f"{options.nodes}, 1 lost" if lost else str(options.nodes)
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[2]:.0f}"
    times = f"{one:.1f} s | {all_nodes:.1f} s | {all_nodes / one:.2f}"
    print(f"| {options.megabytes} MB | {options.mbit} Mbit/s | {nodes} | {times} | {machine} |")


def spread(lab: str, nodes: list[str], options: argparse.Namespace, lost: str | None = None) -> float:
    """Seconds that it took to get the image to all of ``nodes`` but the first, which has it, and the container
    ``lost``, which is stopped dead when half of the time is over that the bytes take."""
    text = "".join(f"{node}\n" for node in nodes)
    before = sent(lab)
    began = time.monotonic()
    if lost:
        halfway_s = options.megabytes * 8 / options.mbit / 2
        threading.Timer(halfway_s, subprocess.run, [["docker", "pause", lost]], {"check": True}).start()
    command = f"dgrid image spread {IMAGE} --hostfile nodes --json || [ $? = 125 ]"
    said = on(lab, "node1", f"printf '{text}' > nodes; {command}")
    seconds = time.monotonic() - began
    if lost:
        subprocess.run(["docker", "unpause", lost], check=True)
    assert len(json.loads(said)["got_it"]) == len(nodes) - (2 if lost else 1), said
    assert sent(lab) - before < 1.2e6 * options.megabytes, "the image left its node more than once"
    return seconds


def sent(lab: str) -> int:
    return int(on(lab, "node1", "cat /sys/class/net/eth0/statistics/tx_bytes"))


def on(lab: str, host: str, script: str, user: str = "alice") -> str:
    """What a script prints on a host of the lab."""
    argv = [*DGRID, "lab", "run", "--name", lab, "--as", user, "--on", host, "--", "bash", "-c", script]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
