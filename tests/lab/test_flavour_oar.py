"""A lab with OAR: oarsub and oardel, oarsh, the REST API, Monika and Drawgantt in a real browser."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from cluster import Cluster, dgrid
from flavours import (
    a_definition,
    check_delete,
    check_exit_code,
    check_limit,
    check_mail_relays,
    check_quickstart,
    flavour_lab,
    left,
    new_directory,
    wait_for_containers,
)

pytestmark = pytest.mark.lab

ADOPT = "/usr/local/lib/dgrid-lab/oar/adopt-ssh"
CHART = "document.getElementById('svgObj').contentDocument.getElementsByTagName('text')"


class Oar:
    """oarsub, oardel and oarstat."""

    batch = examples = "oar"

    def submit(
        self, lab: Cluster, directory: str, command: str, limit_s: int | None = None, wanted: str = "nodes=3/core=1"
    ) -> str:
        lab.write(f"{directory}/job.sh", f"#!/bin/bash\n{command}\n")
        walltime = f",walltime=0:0:{limit_s}" if limit_s else ""
        return self._oarsub(lab, directory, f"-l {wanted}{walltime} ./job.sh", "chmod +x job.sh && ")

    def submit_example(self, lab: Cluster, directory: str, name: str) -> str:
        return self._oarsub(lab, directory, f"-S ./{name}")

    def wait(self, lab: Cluster, job: str, timeout_s: float) -> int | None:
        facts = self.wait_state(lab, job, ("Terminated", "Error"), timeout_s)
        return None if facts["exit_code"] is None else os.waitstatus_to_exitcode(facts["exit_code"])

    def delete(self, lab: Cluster, job: str) -> None:
        lab.text(["oardel", job])

    def output(self, lab: Cluster, directory: str, job: str) -> str:
        return lab.text(f"cd {directory} && cat OAR.{job}.std* OAR.*.{job}.std* 2> /dev/null || true")

    def wait_state(self, lab: Cluster, job: str, states: tuple[str, ...], timeout_s: float = 60) -> dict[str, Any]:
        """Waits until the job is in one of these states; what oarstat says of it."""
        end = time.monotonic() + timeout_s
        while (facts := self._facts(lab, job))["state"] not in states:
            assert time.monotonic() < end, f"job {job} is still {facts['state']} after {timeout_s} s"
            time.sleep(0.5)
        return facts

    def _facts(self, lab: Cluster, job: str) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(lab.text(["oarstat", "-J", "-fj", job]))[job]
        return facts

    def _oarsub(self, lab: Cluster, directory: str, arguments: str, before: str = "") -> str:
        said = lab.text(f"cd {directory} && {before}oarsub {arguments}")
        return re.findall(r"OAR_JOB_ID=(\d+)", said)[0]


@pytest.fixture(scope="module")
def lab() -> Iterator[Cluster]:
    """Three nodes with OAR."""
    yield from flavour_lab("oar")


def test_all_nodes_are_alive(lab: Cluster) -> None:
    """Status has OAR's word for each node."""
    rows = json.loads(dgrid("lab", "status", "--name", lab.name, "--json").stdout)
    assert [row["batch"] for row in rows] == [None, "Alive", "Alive", "Alive"]


def test_quickstart(lab: Cluster) -> None:
    """`oarsub -S ./quickstart.sh` prints the workers' hellos and leaves nothing."""
    check_quickstart(lab, Oar(), "quickstart.sh")


@pytest.mark.labs
def test_mail_relays(lab: Cluster) -> None:
    """`oarsub -S ./mail-relays.sh` counts right, with four containers on three nodes."""
    check_mail_relays(lab, Oar(), "mail-relays.sh")


def test_exit_code(lab: Cluster) -> None:
    """The job ends with the head's exit code."""
    check_exit_code(lab, Oar())


def test_oardel_leaves_nothing(lab: Cluster) -> None:
    """OAR kills dgrid, and gives it no time: the leashes and the epilogue clean."""
    check_delete(lab, Oar(), within_s=30)


@pytest.mark.labs
def test_walltime_leaves_nothing(lab: Cluster) -> None:
    """OAR looks at walltimes every ten seconds."""
    check_limit(lab, Oar(), 30, within_s=40)


def test_interactive_job(lab: Cluster) -> None:
    """`oarsub -I` gives a shell on the job's first node."""
    said = lab.text(
        "script -qec 'oarsub -I -l nodes=1,walltime=0:1:0' /dev/null <<< 'echo I am $(id -un) on $(hostname); exit'"
    )
    assert f"I am {lab.text('id -un')} on node1" in said.replace("\r", "")


def test_oarsh_goes_to_nodes_of_the_job_alone(lab: Cluster) -> None:
    """It has the job's variables and processors on each of its nodes, and is refused by others."""
    directory = new_directory(lab)
    script = (
        "other=$(sort -u $OAR_NODEFILE | grep -v $(hostname))\n"
        "outside=$(printf 'node%s\\n' 1 2 3 | grep -vxFf $OAR_NODEFILE)\n"
        "oarsh $other 'echo there $OAR_JOB_ID $(hostname) $(grep Cpus_allowed_list /proc/self/status)'\n"
        "oarsh $outside true; echo outside: $?; echo other: $other"
    )
    job = Oar().submit(lab, directory, script, wanted="nodes=2/core=1")
    assert Oar().wait(lab, job, 60) == 0
    output = Oar().output(lab, directory, job)
    (other,) = re.findall(r"^other: (node\d)$", output, re.MULTILINE)
    # One core of each node was asked for, the node's first one is cpuset 0.
    assert f"there {job} {other} Cpus_allowed_list: 0\n" in output
    assert "Cannot find the job's cgroup" in output
    assert "outside: 61" in output


@pytest.mark.labs
def test_processes_that_left_the_session_are_killed(lab: Cluster) -> None:
    """A job's cgroup is killed on all nodes, whoever started what in it."""
    directory = new_directory(lab)
    sleep = "setsid -f sleep 4711 < /dev/null > /dev/null 2>&1"
    script = f"{sleep}; oarsh $(sort -u $OAR_NODEFILE | tail -n 1) '{sleep}'; touch started; sleep 600"
    job = Oar().submit(lab, directory, script, wanted="nodes=2")
    lab.run(f"cd {directory} && timeout 50 bash -c 'until [ -e started ]; do sleep 0.5; done'", check=True)
    assert len(sleepers(lab)) == 2
    lab.run(["oardel", job], check=True)
    Oar().wait(lab, job, 30)
    assert sleepers(lab) == []


def sleepers(lab: Cluster) -> list[str]:
    """The nodes on which the process runs."""
    return [node for node in lab.nodes if lab.run(["pgrep", "-f", "^sleep 4711"], host=node).returncode == 0]


@pytest.fixture
def adopting_lab(lab: Cluster) -> Iterator[Cluster]:
    """Nodes that take ssh sessions into the user's job, and refuse those of users who have not all of the node."""
    for node in lab.nodes:
        lab.run([ADOPT, "on"], user="root", host=node, check=True)
    yield lab
    for node in lab.nodes:
        lab.run([ADOPT, "off"], user="root", host=node, check=True)


@pytest.mark.labs
def test_ssh_is_taken_into_the_job(adopting_lab: Cluster) -> None:
    """With pam_oar_adopt dgrid's sessions on all nodes are killed with the job; the epilogue removes what stays."""
    lab = adopting_lab
    directory, run = a_definition(lab, "sleep 600")
    script = f"for node in $(sort -u $OAR_NODEFILE); do ssh $node grep :: /proc/self/cgroup; done; {run}"
    job = Oar().submit(lab, directory, script, wanted="nodes=3")
    wait_for_containers(lab, lambda: Oar().output(lab, directory, job))
    assert Oar().output(lab, directory, job).count(f"/oar.slice/oar-u2001.slice/oar-u2001-j{job}.slice/") == 3
    Oar().delete(lab, job)
    Oar().wait(lab, job, 60)
    # The epilogue belongs to the job: when the job is over, all is gone.
    assert left(lab) == []


@pytest.mark.labs
def test_oarsh_is_the_way_where_ssh_is_refused(adopting_lab: Cluster) -> None:
    """In a job with parts of nodes: the run works as by ssh, and after oardel the epilogue removes what stays."""
    lab = adopting_lab
    directory, run = a_definition(lab, "exit 7")
    job = Oar().submit(lab, directory, f"ssh node2 true; echo ssh: $?; {run}")
    code = Oar().wait(lab, job, 60)
    output = Oar().output(lab, directory, job)
    assert code == 7, output
    assert "ssh: 255" in output
    assert output.count("reached by `oarsh`, as ssh is refused there") == 2
    assert left(lab) == []

    directory, run = a_definition(lab, "sleep 600")
    job = Oar().submit(lab, directory, run)
    wait_for_containers(lab, lambda: Oar().output(lab, directory, job))
    Oar().delete(lab, job)
    Oar().wait(lab, job, 60)
    assert left(lab) == []


def test_api(lab: Cluster) -> None:
    """From this machine: nodes to everybody, jobs to those who log in, and nobody is whom he says he is."""
    base = f"http://{front_address(lab)}:6668"
    resources = json.loads(answer(f"{base}/oarapi/resources.json")[1])["items"]
    assert {one["network_address"] for one in resources} == set(lab.nodes)
    directory = new_directory(lab)
    job = Oar().submit(lab, directory, "true")
    for name in ("A", "X_REMOTE_IDENT", "X-REMOTE-IDENT", "X-Remote_Ident"):
        for path in ("oarapi", "oarapi-public", "oarapi-priv"):
            assert answer(f"{base}/{path}/jobs/{job}.json", {name: "alice"})[0] == 401, (name, path)
    facts = json.loads(lab.text(f"curl --silent --fail --netrc http://front:6668/oarapi-priv/jobs/{job}.json"))
    assert facts["owner"] == lab.text("id -un")
    Oar().wait(lab, job, 60)


@pytest.mark.labs
def test_pages_show_nodes_and_jobs_in_a_browser(lab: Cluster, tmp_path: Path) -> None:
    """Monika and Drawgantt name each node and the running job. DGRID_IMAGES=docs/images keeps the pictures there."""
    directory = new_directory(lab)
    job = Oar().submit(lab, directory, "sleep 600", wanted="nodes=2")
    Oar().wait_state(lab, job, ("Running",))
    images = Path(os.environ.get("DGRID_IMAGES", tmp_path))
    base, now = f"http://{front_address(lab)}", int(time.time())
    try:
        with Browser() as browser:
            browser.open(f"{base}/monika", 1000, 600)
            browser.wait_for("document.readyState == 'complete'")
            shows(browser.text(), *lab.nodes, job)
            taken(browser, images / "monika.png")
            # Half an hour; the chart is a document of its own that the page's script loads.
            browser.open(f"{base}/drawgantt-svg/?start={now - 600}&stop={now + 1200}&scale=20", 1000, 260)
            browser.wait_for("document.getElementById('waiter').style.visibility == 'hidden'")
            browser.wait_for(f"{CHART}.length > 0")
            shows(browser.evaluate(f"Array.from({CHART}, text => text.textContent).join(' ')"), *lab.nodes, job)
            taken(browser, images / "drawgantt.png")
    finally:
        Oar().delete(lab, job)
        Oar().wait(lab, job, 30)


def shows(text: str, *words: str) -> None:
    """Each of the words is there."""
    assert [word for word in words if not re.search(rf"\b{word}\b", text)] == [], text


def taken(browser: Browser, path: Path) -> None:
    """A picture of something, small enough for the docs."""
    browser.screenshot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert 10_000 < path.stat().st_size < 150_000


def front_address(lab: Cluster) -> str:
    """Where this machine reaches the lab's frontend."""
    rows = json.loads(dgrid("lab", "status", "--name", lab.name, "--json").stdout)
    return str(rows[0]["address"])


def answer(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of a GET."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
