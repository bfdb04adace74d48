"""Much output through a run of dgrid whose reader stops in the middle: is it unchanged, and does dgrid stay small?

    dgrid lab up --name x --nodes 2 && dgrid lab load --name x debian:trixie-slim
    .venv/bin/python tests/run/big_stream.py --lab x [--bytes 1000000000] [--stop 20]

Makes the run once as it is and once with --spool, and prints the figures of docs/streams.md. It copies itself to the
lab's first node and runs there (``--here BYTES STOP_S dgrid OPTIONS``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

LIMIT_KB = 64 * 1024
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
_TICKS = os.sysconf("SC_CLK_TCK")
_RANDOM = "exec 3>&1; sum=$(head -c {bytes} /dev/urandom | tee /dev/fd/3 | sha256sum); echo $sum >&2; exit 7"


def definition(number: int) -> str:
    """A head that writes so many random bytes to stdout, then their sum to stderr; and a worker on the other node."""
    script = _RANDOM.format(bytes=number).replace("$", "$$")
    head = {"name": "head", "interactive": True, "image": "debian:trixie-slim", "run_cmd": ["bash", "-c", script]}
    worker = {"name": "w", "image": "debian:trixie-slim", "run_cmd": ["sleep", "600"]}
    return json.dumps({"containers": [head, worker]})


@dataclass
class Size:
    """How much memory a process takes, in kB, looked at 20 times a second from now until it ends."""

    process: subprocess.Popen[bytes]
    most_kb: int = 0
    cpu_s: float = 0.0

    def watch(self) -> None:
        """In a thread of its own."""
        while self.process.poll() is None:
            self.most_kb = max(self.most_kb, self.now_kb())
            time.sleep(0.05)

    def now_kb(self) -> int:
        """0 when it has ended."""
        try:
            proc = Path(f"/proc/{self.process.pid}")
            fields = (proc / "stat").read_text().rpartition(")")[2].split()
            self.cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
            return int((proc / "statm").read_text().split()[1]) * _PAGE_KB
        except OSError:
            return 0


def run_here(number: int, stop_s: float, command: list[str]) -> int:
    """Runs dgrid, reads its output with a stop in the middle, prints what was found; 0 if all is well."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    said: list[str] = []
    listener = threading.Thread(target=lambda: said.extend(process.stderr.read().decode().splitlines()))  # type: ignore[union-attr]
    listener.start()
    size, digest = Size(process), hashlib.sha256()
    received, at_start_kb, has_stopped = 0, 0, False
    while data := os.read(process.stdout.fileno(), 1 << 16):
        if not received:
            at_start_kb = size.now_kb()
            threading.Thread(target=size.watch, daemon=True).start()
        received += len(data)
        digest.update(data)
        if received > number // 2 and not has_stopped:
            has_stopped = True
            time.sleep(stop_s)
    code = process.wait()
    listener.join()
    is_same = any(digest.hexdigest() in line for line in said)
    grown_kb = size.most_kb - at_start_kb
    print(f"{received} bytes, {'the same' if is_same else 'CHANGED'}; exit code {code}; "
          f"{time.monotonic() - began:.1f} s with a stop of {stop_s:g} s; CPU {size.cpu_s:.1f} s; "
          f"memory {at_start_kb / 1024:.1f} MB at the start, at most {grown_kb / 1024:.1f} MB more")  # fmt: skip
    print("\n".join(f"  {line}" for line in said), flush=True)
    return 0 if is_same and code == 7 and received == number and grown_kb <= LIMIT_KB else 1


def run_in_lab(lab: str, number: int, stop_s: float) -> int:
    """Without and with --spool, on the first two nodes of a lab."""
    on_node = [sys.executable, "-m", "dgrid", "lab", "run", "--name", lab, "--on", "node1", "--"]

    def write(name: str, text: str) -> None:
        subprocess.run([*on_node, "sh", "-c", f"cat > {name}"], input=text.encode(), check=True)

    write("big_stream.py", Path(__file__).read_text())
    write("big_stream.json", definition(number))
    write("big_stream.nodes", "node1\nnode2\n")
    command = ["python3", "big_stream.py", "--here", str(number), str(stop_s)]
    command += ["dgrid", "--hostfile=big_stream.nodes", "--dockdef=big_stream.json"]
    codes = [subprocess.run([*on_node, *command, *options], check=False).returncode for options in ([], ["--spool"])]
    return max(codes)


def main() -> int:
    """The command line."""
    if sys.argv[1:2] == ["--here"]:
        return run_here(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
    parser = argparse.ArgumentParser(description="Much output, and a reader that stops in the middle.")
    parser.add_argument("--lab", required=True)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--stop", type=float, default=20.0)
    given = parser.parse_args()
    return run_in_lab(given.lab, given.bytes, given.stop)


if __name__ == "__main__":
    sys.exit(main())
