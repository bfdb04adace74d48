"""scripts/prepare, with stand-ins for the machine's commands: what it installs, starts and stops."""

from __future__ import annotations

import http.server
import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REAL = ("bash", "cat", "chmod", "cut", "dirname", "env", "kill", "mkdir", "rm", "setsid", "sh", "sleep", "tail", "tee")

# What the engine of the test answers, and whether it starts at all, lies in files beside its socket.
DOCKERD = """#!/usr/bin/python3
import http.server, pathlib, socketserver, sys
path = sys.argv[2].removeprefix("unix://")
if pathlib.Path(path + ".broken").exists():
    sys.exit("no cgroup is mounted")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        running = pathlib.Path(path + ".containers")
        body = running.read_bytes() if running.exists() and "containers" in self.path else b"[]"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return ""
socketserver.UnixStreamServer(path, Answer).serve_forever()
"""

# Root's part: it is written down, and only what touches nothing but the test's own processes is done.
SUDO = """#!/bin/bash
echo "$*" >> "$TEST_LOG"
case "$1" in
    sh | kill) exec "$@" ;;
    env) printf '#!/bin/sh\\n' > "$(dirname "$0")/mmdebstrap" && chmod 755 "$(dirname "$0")/mmdebstrap" ;;
    systemctl) [ "$2" != start ] || { setsid dockerd --host "$DOCKER_HOST" < /dev/null > /dev/null 2>&1 & } ;;
    tee) cat > /dev/null ;;
esac
"""


@dataclass(frozen=True)
class Machine:
    """A checkout with scripts/prepare and a PATH on which every command that changes a machine is a stand-in."""

    checkout: Path
    commands: Path
    socket: Path

    def prepare(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.commands), "DOCKER_HOST": f"unix://{self.socket}", "TEST_LOG": str(self.log)}
        command = [str(self.checkout / "scripts/prepare"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    @property
    def log(self) -> Path:
        return self.checkout / "as-root"

    def done_as_root(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def command(self, name: str, text: str = "#!/bin/sh\n") -> None:
        (self.commands / name).write_text(text)
        (self.commands / name).chmod(0o755)

    def dockerds(self) -> list[int]:
        """Process ids of this machine's stand-ins for dockerd."""
        lines = {int(path.parent.name): path for path in Path("/proc").glob("[0-9]*/cmdline")}
        return [number for number, path in lines.items() if self._serves(path)]

    def _serves(self, path: Path) -> bool:
        try:
            parts = path.read_bytes().split(b"\0")
        except OSError:
            return False
        return f"unix://{self.socket}".encode() in parts and str(self.commands / "dockerd").encode() in parts


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine where nothing is missing, without systemd, whose engine does not run yet."""
    commands = tmp_path / "bin"
    commands.mkdir()
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/prepare", tmp_path / "scripts")
    for name in REAL:
        (commands / name).symlink_to(str(shutil.which(name)))
    (commands / "python3").symlink_to("/usr/bin/python3")
    made = Machine(tmp_path, commands, tmp_path / "e.sock")
    for name in ("docker", "iptables", "mmdebstrap", "newuidmap", "ssh", "apt-get", "apt-cache"):
        made.command(name)
    made.command("dockerd", DOCKERD)
    made.command("sudo", SUDO)
    made.command("id", "#!/bin/sh\necho 1000\n")
    made.command("systemctl", "#!/bin/sh\necho offline\nexit 1\n")
    yield made
    for number in made.dockerds():
        os.kill(number, 9)


@pytest.fixture
def running_engine(machine: Machine) -> Iterator[None]:
    """An engine that answers, and was not started by prepare."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

        def address_string(self) -> str:
            return ""

    with socketserver.ThreadingUnixStreamServer(str(machine.socket), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def test_a_machine_that_has_everything_stays_as_it_is(machine: Machine, running_engine: None) -> None:
    """Where nothing is missing and an engine answers, neither up nor down does anything as root."""
    assert machine.prepare("up").returncode == 0
    assert machine.prepare("down").returncode == 0
    assert machine.done_as_root() == []


def test_down_stops_the_engine_that_up_started(machine: Machine) -> None:
    """Without systemd dockerd runs in the background from up to down; a second up leaves it alone."""
    assert machine.prepare("up").returncode == 0
    started = machine.dockerds()
    assert len(started) == 1
    assert machine.prepare("up").returncode == 0
    assert machine.dockerds() == started
    assert machine.prepare("down").returncode == 0
    assert machine.dockerds() == []
    assert machine.prepare("down").returncode == 0


def test_an_engine_on_which_containers_run_stays(machine: Machine) -> None:
    """Down takes the engine from nobody who uses it; it stops once nobody does."""
    machine.prepare("up")
    in_use = Path(f"{machine.socket}.containers")
    in_use.write_text('[{"Id": "1"}]')
    kept = machine.prepare("down")
    assert kept.stdout == "prepare: the engine stays: containers run on it\n"
    assert len(machine.dockerds()) == 1
    in_use.unlink()
    machine.prepare("down")
    assert machine.dockerds() == []


def test_what_is_missing_is_installed(machine: Machine) -> None:
    """The packages of missing commands, and no others, are installed after the lists are brought up to date."""
    (machine.commands / "mmdebstrap").unlink()
    done = machine.prepare("up")
    assert done.returncode == 0, done.stderr
    apt = [line for line in machine.done_as_root() if "apt-get" in line]
    assert apt == [
        "apt-get update",
        "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends mmdebstrap",
    ]


def test_an_engine_that_does_not_start_says_why(machine: Machine) -> None:
    """The last lines of dockerd's log are shown, and nothing is noted as started."""
    Path(f"{machine.socket}.broken").touch()
    done = machine.prepare("up")
    assert done.returncode == 1
    assert "no cgroup is mounted" in done.stderr
    assert f"the engine does not answer at unix://{machine.socket}" in done.stderr
    assert not (machine.checkout / ".prepared/started").exists()


def test_with_systemd_the_service_is_started_and_stopped(machine: Machine) -> None:
    """Only the units that up found idle are stopped by down."""
    machine.command(
        "systemctl", "#!/bin/sh\n[ $1 != is-active ] || { [ $3 = containerd.service ]; exit; }\necho running\nexit 1\n"
    )
    assert machine.prepare("up").returncode == 0
    assert machine.prepare("down").returncode == 0
    assert machine.done_as_root() == [
        "systemctl start docker.service",
        "systemctl stop docker.socket docker.service",
    ]


def test_only_the_labs_need_a_browser(machine: Machine) -> None:
    """Chromium is large: `make test` does without."""
    machine.prepare("up", "--test")
    assert not any("chromium" in line for line in machine.done_as_root())
    machine.prepare("up", "--labs")
    assert any("apt-get install" in line and line.endswith(" chromium") for line in machine.done_as_root())


def test_wrong_words_are_refused(machine: Machine) -> None:
    """Anything but up (with --test or --labs) and down does nothing and says what there is."""
    done = machine.prepare("upp")
    assert done.returncode == 1
    assert done.stderr == "prepare: use: scripts/prepare up [--test|--labs] | scripts/prepare down\n"
