"""The examples' definitions and job scripts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from by_hand import ROOT

from dgrid.plan.parse import parse_definition

EXAMPLES = sorted((ROOT / "examples").glob("pbs/*/*.json"))
SCRIPTS = sorted((ROOT / "examples").glob("pbs/*/*.pbs"))


def test_there_are_examples() -> None:
    """The tests below look at all examples."""
    names = ["htcondor-pool.json", "mail-relays.json", "mpi-hello.json", "quickstart.json"]
    assert [path.name for path in EXAMPLES] == names
    assert len(SCRIPTS) == 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_validates(path: Path) -> None:
    """Each definition is right, and mounts only files that are beside it or that its README says how to make."""
    definition = parse_definition(path.read_bytes(), path.name, {"USER": "alice", "PWD": str(path.parent)})
    mounted = {Path(mount.source) for container in definition.containers for mount in container.mounts}
    made = {path.parent / "logins.bson"}
    assert not [source for source in mounted - made if not source.exists()]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.parent.name)
def test_job_script_asks_for_a_node_an_instance(path: Path) -> None:
    """The script is proper shell, names a definition that is there, and asks for as many nodes as it has instances."""
    subprocess.run(["bash", "-n", path], check=True)
    text = path.read_text()
    named = re.search(r'--dockdef="\$PBS_O_WORKDIR/(.*)"', text)
    nodes = re.search(r"#PBS -l nodes=(\d+)", text)
    assert named
    assert nodes
    file = path.parent / named[1]
    definition = parse_definition(file.read_bytes(), file.name, {"USER": "alice", "PWD": str(path.parent)})
    scales = [container.scale for container in definition.containers]
    assert sum(scale for scale in scales if isinstance(scale, int)) == int(nodes[1])
