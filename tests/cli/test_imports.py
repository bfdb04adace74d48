"""What each command may import: a module more is milliseconds more at every start of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).parents[2] / "examples" / "pbs" / "quickstart" / "quickstart.json"
SLOW = ("docker", "requests", "urllib3", "paramiko", "cryptography", "tenacity", "jsonschema", "ClusterShell", "hmac",
        "hashlib", "difflib", "http", "email", "ssl", "logging", "secrets", "asyncio")  # fmt: skip
ROOMS = ("batch", "images", "lab", "nodes", "plan", "report", "run", "sites")
LOADED = """
import json, sys
sys.argv = ["dgrid", *sys.argv[1:]]
from dgrid.cli.main import entry
try:
    entry()
finally:
    print("\\n" + json.dumps(sorted(sys.modules)))
"""
RUN = """
import json, sys
import dgrid.cli.run, dgrid.run, dgrid.on_nodes, dgrid.nodes.delivery
print(json.dumps(sorted(sys.modules)))
"""


def loaded(code: str, *arguments: str) -> tuple[set[str], set[str]]:
    """The slow modules, and the rooms of dgrid, that a program has imported at its end."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    modules = json.loads(done.stdout.splitlines()[-1])
    rooms = {name.split(".")[1] for name in modules if name.startswith("dgrid.")}
    return {name.partition(".")[0] for name in modules} & set(SLOW), rooms & set(ROOMS)


@pytest.mark.parametrize(
    ("arguments", "slow", "rooms"),
    [
        (["--version"], set(), set()),
        (["validate", str(QUICKSTART)], set(), {"plan"}),
        (["schema"], set(), {"plan"}),
        (
            ["plan", "--local", "4", f"--dockdef={QUICKSTART}"],
            {"ClusterShell", "logging"},
            {"batch", "plan", "report"},
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_imports_no_more_than_it_needs(arguments: list[str], slow: set[str], rooms: set[str]) -> None:
    """By the names of what is slow, and of dgrid's own rooms."""
    assert loaded(LOADED, *arguments) == (slow, rooms)


def test_a_run_on_this_machine_alone_imports_neither_the_docker_sdk_nor_paramiko() -> None:
    """0.3 s and 0.2 s of a busy core: paramiko is for other nodes, the SDK for building and fetching images."""
    slow, _ = loaded(RUN)
    assert slow == set()
