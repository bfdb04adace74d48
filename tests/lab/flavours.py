"""What is so in a lab of every batch system: checks that the tests of each one call, on three nodes.

    class Slurm:
        batch, examples = "slurm", "slurm"
        def submit(self, lab, directory, command, limit_s=None): ...

    @pytest.fixture(scope="module")
    def lab(): yield from flavour_lab(Slurm.batch)

    def test_quickstart(lab): check_quickstart(lab, Slurm(), "quickstart.sbatch")

``make labs`` runs them all.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import bson
from cluster import KEPT, LABEL, Cluster, machine_engine, running_lab
from relay_tables import read_tables

from dgrid.lab.machine import DEFAULT_ENGINE, machine_at
from dgrid.lab.node_image import BASE, ensure_base

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples/pbs/quickstart"
QUICKSTART_IMAGE = "localhost/dgrid.quickstart"
_NUMBERS = itertools.count(1)


class Flavour(Protocol):
    """A batch system as its users know it. All acts are the lab user's, on the frontend, by the system's commands."""

    batch: str
    """``--batch``."""
    examples: str
    """Its directory below examples/."""

    def submit(self, lab: Cluster, directory: str, command: str, limit_s: int | None = None) -> str:
        """A job of three nodes, one slot on each, that runs a shell command in that directory; the job's id.

        ``limit_s`` is its time limit; the system may round it up.
        """

    def submit_example(self, lab: Cluster, directory: str, name: str) -> str:
        """Submits a job script that lies in that directory, as its README says; the job's id."""

    def wait(self, lab: Cluster, job: str, timeout_s: float) -> int | None:
        """Waits until the job is no more; the exit code that the system keeps of it, None if it keeps none."""

    def delete(self, lab: Cluster, job: str) -> None:
        """Deletes the job by the system's own command."""

    def output(self, lab: Cluster, directory: str, job: str) -> str:
        """What the job wrote, stdout and stderr."""


def flavour_lab(batch: str, *options: str) -> Iterator[Cluster]:
    """A lab of three nodes with that batch system, the test image and the quickstart's on all nodes.

    ``DGRID_TEST_SGE_LAB=dev`` and the like use the lab dev instead and leave it running.
    """
    ensure_base(machine_at(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE), print)
    build = ["docker", "build", *KEPT, "--network", "none", "--tag", QUICKSTART_IMAGE, QUICKSTART]
    built = subprocess.run(build, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    for lab in running_lab(batch[:4], 3, f"DGRID_TEST_{batch.upper()}_LAB", "--batch", batch, *options):
        lab.load(BASE, QUICKSTART_IMAGE)
        yield lab


def check_quickstart(lab: Cluster, flavour: Flavour, script: str) -> None:
    """The quickstart's two workers say hello from the two other nodes; the job ends with 0 and leaves nothing."""
    directory = f"{copied_examples(lab)}/{flavour.examples}"
    job = flavour.submit_example(lab, directory, script)
    code = flavour.wait(lab, job, 90)
    output = flavour.output(lab, directory, job)
    assert code in (0, None), output
    hellos = [line for line in output.splitlines() if line.startswith("Hello from ")]
    assert [line.split()[2] for line in hellos] == ["worker-1", "worker-2"], output
    assert len({line.split()[-1] for line in hellos} & set(lab.nodes)) == 2, output
    assert left(lab) == []


def load_mail_relays(lab: Cluster) -> None:
    """The example's images for the lab's user, with the stand-in for MongoDB, on all nodes."""
    user, uid = lab.text("id -un; id -u").split()
    arguments = " ".join(("--network host", *KEPT))
    settings = {"FOR_USER": user, "FOR_UID": uid, "BUILD_ARGS": arguments, "MONGODB": "standin"}
    setup = ROOT / "examples/pbs/mail-relays/setup.sh"
    subprocess.run([setup, "images"], env={**os.environ, **settings}, check=True, capture_output=True)
    lab.load(f"localhost/{user}/dgrid.pyssh", f"localhost/{user}/dgrid.mongodb")


def check_mail_relays(lab: Cluster, flavour: Flavour, script: str) -> None:
    """The example counts each user's relays right, with the stand-in for MongoDB; the job ends with 0."""
    load_mail_relays(lab)
    home = copied_examples(lab)
    lab.run(f"cd {home}/pbs/mail-relays && ./setup.sh records", check=True)
    directory = f"{home}/{flavour.examples}"
    job = flavour.submit_example(lab, directory, script)
    code = flavour.wait(lab, job, 180)
    output = flavour.output(lab, directory, job)
    assert code in (0, None), output
    assert read_tables(output) == counted(lab, f"{home}/pbs/mail-relays")
    assert left(lab) == []


def check_exit_code(lab: Cluster, flavour: Flavour) -> None:
    """The head's exit code is dgrid's, and the job's where the system keeps it; the head has the job's id."""
    directory, run = a_definition(lab, "echo job $$DGRID_JOB; exit 7")
    job = flavour.submit(lab, directory, f"{run}; code=$?; echo dgrid ended with $code; exit $code")
    code = flavour.wait(lab, job, 90)
    output = flavour.output(lab, directory, job)
    assert code in (7, None), output
    assert "dgrid ended with 7" in output.splitlines()
    assert f"job {job}" in output.splitlines()
    assert left(lab) == []


def check_delete(lab: Cluster, flavour: Flavour, within_s: float) -> None:
    """A job that is deleted while its containers run leaves nothing on any node."""
    directory, run = a_definition(lab, "sleep 600")
    job = flavour.submit(lab, directory, run)
    wait_for_containers(lab, lambda: flavour.output(lab, directory, job))
    flavour.delete(lab, job)
    wait_gone(lab, within_s)
    flavour.wait(lab, job, within_s)


def check_limit(lab: Cluster, flavour: Flavour, limit_s: int, within_s: float) -> None:
    """A job that meets its time limit leaves nothing, so many seconds after the limit at the latest."""
    directory, run = a_definition(lab, "sleep 600")
    job = flavour.submit(lab, directory, run, limit_s)
    wait_for_containers(lab, lambda: flavour.output(lab, directory, job))
    wait_gone(lab, limit_s + within_s)
    assert flavour.wait(lab, job, within_s) != 0


def copied_examples(lab: Cluster) -> str:
    """All examples in the lab user's home; the directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(ROOT / "examples", "examples")
    directory = new_directory(lab)
    lab.run(["tar", "x", "-C", directory, "--no-same-owner"], input=buffer.getvalue(), check=True)
    return f"{directory}/examples"


def a_definition(lab: Cluster, script: str) -> tuple[str, str]:
    """A new directory with a definition, head and two workers, and the dgrid command that runs it."""
    directory = new_directory(lab)
    containers: list[dict[str, Any]] = [
        {"name": "head", "interactive": True, "image": BASE, "run_cmd": ["bash", "-c", script], "stop_grace_s": 1},
        {"name": "worker", "image": BASE, "run_cmd": ["sleep", "600"], "scale": 2, "stop_grace_s": 1},
    ]
    lab.write(f"{directory}/job.json", json.dumps({"containers": containers}))
    return directory, f"dgrid --dockdef={directory}/job.json"


def new_directory(lab: Cluster) -> str:
    """A directory in the lab user's home that was not there before."""
    return lab.text(f"mkdir -p flavours && mktemp -d $PWD/flavours/{next(_NUMBERS)}-XXXXXX")


def left(lab: Cluster) -> list[str]:
    """What of any run is on any node: containers, networks, processes of dgrid, by other means than dgrid's."""
    script = (
        "docker ps --all --filter label=io.dgrid.session --format 'container {{.Names}} {{.Status}}'; "
        "docker network ls --filter label=io.dgrid.session --format 'network {{.Name}}'; "
        "pgrep -u alice -fa '[d]grid' || true"
    ).replace("alice", lab.text(["id", "-un"]))
    found = []
    for node in lab.nodes:
        marks = [f"{LABEL}={lab.name}", f"{LABEL}.host={node}"]
        (container,) = machine_engine().containers.list(filters={"label": marks})
        code, output = container.exec_run(["sh", "-c", script])
        assert code == 0, output
        found += [f"{node}: {line}" for line in output.decode().splitlines()]
    return found


def wait_for_containers(lab: Cluster, output: Callable[[], str], number: int = 3, within_s: float = 60) -> None:
    """Waits until so many containers run."""
    end = time.monotonic() + within_s
    while len([line for line in left(lab) if ": container " in line and " Up " in line]) < number:
        assert time.monotonic() < end, f"{number} containers did not come up: {left(lab)}\n{output()}"
        time.sleep(0.5)


def wait_gone(lab: Cluster, within_s: float) -> None:
    """Waits until nothing of any run is on any node."""
    end = time.monotonic() + within_s
    while still := left(lab):
        assert time.monotonic() < end, f"left after {within_s} s: {still}"
        time.sleep(0.5)


def counted(lab: Cluster, directory: str) -> dict[tuple[str, str], int]:
    """Distinct relays by user and day, counted from the records themselves."""
    relays: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for login in bson.decode_all(lab.run(["cat", f"{directory}/logins.bson"], check=True).stdout):
        relays[login["authid"], f"{login['dstamp']:%Y-%m-%d}"].add(login["relay"])
    return {key: len(found) for key, found in relays.items()}
