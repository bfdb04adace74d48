"""A lab with HTCondor: condor_submit and condor_rm, vanilla and parallel universe."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
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
    wait_gone,
)

pytestmark = pytest.mark.lab

# What condor_master's kernel tuning would write.
TUNED = ("vm/dirty_bytes", "vm/dirty_ratio", "fs/pipe-user-pages-soft", "fs/file-max", "net/core/somaxconn")
PARALLEL = """universe = parallel
machine_count = 3
executable = job.sh
output = job.$(Node).out
error = job.$(Node).err
log = job.log
"""
SCRIPT = """#!/bin/bash
[ "$_CONDOR_PROCNO" = 0 ] || exec sleep infinity
"""


class HTCondor:
    """condor_submit, condor_rm and condor_history. The job's id is that of dgrid: cluster and process."""

    batch = examples = "htcondor"

    def submit(self, lab: Cluster, directory: str, command: str, limit_s: int | None = None) -> str:
        # As in examples/htcondor/dgrid.sh, a single dgrid takes the shell's place: TERM is for it.
        run = f"exec {command}" if re.fullmatch(r"dgrid [^;]*", command) else command
        lab.write(f"{directory}/job.sh", f"{SCRIPT}{run}\n")
        limit = f"periodic_remove = time() - JobCurrentStartDate > {limit_s}\n" if limit_s else ""
        lab.write(f"{directory}/job.sub", f"{PARALLEL}{limit}queue\n")
        lab.run(["chmod", "+x", f"{directory}/job.sh"], check=True)
        return self.submit_example(lab, directory, "job.sub")

    def submit_example(self, lab: Cluster, directory: str, name: str) -> str:
        terse = lab.text(f"cd {directory} && condor_submit -terse {name}")
        return terse.split(" - ")[0]

    def wait(self, lab: Cluster, job: str, timeout_s: float) -> int | None:
        end = time.monotonic() + timeout_s
        while not (line := lab.text(["condor_history", job, "-limit", "1", "-af", "JobStatus", "ExitCode"])):
            assert time.monotonic() < end, f"job {job} is still there after {timeout_s} s: {self.why(lab, job)}"
            time.sleep(0.5)
        status, code = line.split()
        return int(code) if status == "4" else 1

    def why(self, lab: Cluster, job: str) -> str:
        """What HTCondor has to say of a job that waits."""
        return lab.text(["condor_q", "-better-analyze", job])

    def delete(self, lab: Cluster, job: str) -> None:
        lab.text(["condor_rm", job])

    def output(self, lab: Cluster, directory: str, job: str) -> str:
        files = lab.text(f"condor_q {job} -af:l Iwd Out Err; condor_history {job} -limit 1 -af:l Iwd Out Err")
        found = dict(re.findall(r"(\w+) = (\S+)", files))
        return lab.text(f"cd {found['Iwd']} && cat {found['Out']} {found['Err']}".replace("#pArAlLeLnOdE#", "0"))


def settings_of_this_machine() -> dict[str, str]:
    return {name: (Path("/proc/sys") / name).read_text() for name in TUNED}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """The machine's settings before there was a lab."""
    return settings_of_this_machine()


@pytest.fixture(scope="module")
def lab(before: dict[str, str]) -> Iterator[Cluster]:
    """Three nodes with HTCondor."""
    yield from flavour_lab("htcondor")


def test_all_slots_are_there(lab: Cluster) -> None:
    """condor_status has each node's slot with all of its processors, and `lab status` HTCondor's word for it."""
    slots = lab.text(["condor_status", "-af", "Name", "Cpus"]).splitlines()
    assert sorted(slots) == [f"slot1@{node} 4" for node in lab.nodes]
    rows = json.loads(dgrid("lab", "status", "--name", lab.name, "--json").stdout)
    assert [row["batch"] for row in rows] == [None, "unclaimed idle", "unclaimed idle", "unclaimed idle"]


def test_vanilla_jobs(lab: Cluster) -> None:
    """An ordinary user's sleep jobs run on all nodes, as that user."""
    directory = new_directory(lab)
    lab.write(f"{directory}/who.sh", "#!/bin/bash\nsleep 3\necho $(id -un) $(hostname)\n")
    lab.write(
        f"{directory}/who.sub",
        "executable = who.sh\noutput = who.$(Process).out\nlog = who.log\nqueue 6\n",
    )
    script = f"cd {directory} && chmod +x who.sh && condor_submit who.sub && timeout 90 condor_wait who.log"
    lab.text(script + " >&2")
    lines = lab.text(f"cat {directory}/who.*.out").splitlines()
    assert len(lines) == 6
    assert set(lines) == {f"{lab.text(['id', '-un'])} {node}" for node in lab.nodes}


def test_parallel_job(lab: Cluster) -> None:
    """A job of the parallel universe has a process on each of three nodes, whose exit code is the first one's."""
    directory = new_directory(lab)
    wait = "for i in $(seq 100); do [ -e there.1 ] && [ -e there.2 ] && break; sleep 0.2; done"
    lab.write(
        f"{directory}/job.sh",
        "#!/bin/bash\nhostname\n: > there.$_CONDOR_PROCNO\n"
        f'[ "$_CONDOR_PROCNO" = 0 ] || exec sleep infinity\n{wait}\nexit 5\n',
    )
    lab.write(f"{directory}/job.sub", f"{PARALLEL}queue\n")
    lab.run(["chmod", "+x", f"{directory}/job.sh"], check=True)
    job = HTCondor().submit_example(lab, directory, "job.sub")
    assert HTCondor().wait(lab, job, 90) == 5
    assert sorted(lab.text(f"cat {directory}/job.*.out").splitlines()) == list(lab.nodes)


def test_quickstart(lab: Cluster) -> None:
    """`condor_submit quickstart.sub` prints the workers' hellos and leaves nothing."""
    check_quickstart(lab, HTCondor(), "quickstart.sub")


@pytest.mark.labs
def test_mail_relays(lab: Cluster) -> None:
    """`condor_submit mail-relays.sub` counts right: four containers on three nodes, of which it has two slots each."""
    check_mail_relays(lab, HTCondor(), "mail-relays.sub")


def test_exit_code(lab: Cluster) -> None:
    """The job ends with the head's exit code."""
    check_exit_code(lab, HTCondor())


def test_dgrid_is_for_process_0(lab: Cluster) -> None:
    """Without a look at its rank, the script starts dgrid on all nodes; the others refuse and say what to write."""
    directory = new_directory(lab)
    lab.write(f"{directory}/job.sh", "#!/bin/bash\ndgrid plan --dockdef=job.json\nsleep $((5 - _CONDOR_PROCNO))\n")
    lab.write(f"{directory}/job.json", '{"containers": [{"name": "h", "image": "a/${USER}", "interactive": true}]}')
    lab.write(f"{directory}/job.sub", f"{PARALLEL}queue\n")
    lab.run(["chmod", "+x", f"{directory}/job.sh"], check=True)
    assert HTCondor().wait(lab, HTCondor().submit_example(lab, directory, "job.sub"), 90) == 0
    assert '[ "${_CONDOR_PROCNO:-0}" = 0 ] || exec sleep infinity' in lab.text(["cat", f"{directory}/job.1.err"])
    assert lab.text(["cat", f"{directory}/job.0.err"]) == ""


@pytest.mark.labs
def test_a_vanilla_job_runs_dgrid(lab: Cluster) -> None:
    """On its one machine, without HOME and USER; the engine sees the job's scratch directory, but not its /tmp."""
    directory = new_directory(lab)
    head = {
        "name": "head",
        "interactive": True,
        "image": "debian:trixie-slim",
        "volumes": ["${_CONDOR_SCRATCH_DIR}:/scratch", "${HOME}:/h", "/tmp:/t"],
        "run_cmd": ["sh", "-c", "echo $$USER $$HOME; cat /scratch/file; ls /t/file"],
    }
    lab.write(f"{directory}/job.json", json.dumps({"containers": [head]}))
    lab.write(
        f"{directory}/job.sh",
        "#!/bin/bash\necho ${HOME-none} ${USER-none}\necho seen > $_CONDOR_SCRATCH_DIR/file\n: > /tmp/file\n"
        "exec dgrid --dockdef=job.json\n",
    )
    lab.write(f"{directory}/job.sub", "executable = job.sh\noutput = out\nerror = err\nlog = log\nqueue\n")
    lab.run(["chmod", "+x", f"{directory}/job.sh"], check=True)
    assert HTCondor().wait(lab, HTCondor().submit_example(lab, directory, "job.sub"), 90) == 2
    user = lab.text(["id", "-un"])
    assert lab.text(["cat", f"{directory}/out"]).splitlines() == ["none none", f"{user} /home/{user}", "seen"]
    assert "cannot access '/t/file'" in lab.text(["cat", f"{directory}/err"])
    assert left(lab) == []


def test_condor_rm_leaves_nothing(lab: Cluster) -> None:
    """TERM reaches dgrid, which removes everything."""
    check_delete(lab, HTCondor(), within_s=20)


@pytest.mark.labs
def test_time_limit_leaves_nothing(lab: Cluster) -> None:
    """periodic_remove on JobCurrentStartDate, which HTCondor looks at every five seconds here."""
    check_limit(lab, HTCondor(), 20, within_s=30)


@pytest.mark.labs
def test_a_dgrid_that_hears_nothing(lab: Cluster) -> None:
    """A stopped dgrid is killed when the vacate time is over; its leashes remove everything then."""
    directory, run = a_definition(lab, "sleep 600")
    job = HTCondor().submit(lab, directory, run)
    wait_for_containers(lab, lambda: HTCondor().output(lab, directory, job))
    first = lab.text(["condor_q", job, "-af", "AllRemoteHosts"]).split(",")[0].rpartition("@")[2]
    lab.text("kill -STOP $(pgrep -f 'bin/[d]grid ')", host=first)
    HTCondor().delete(lab, job)
    wait_gone(lab, 60)
    assert left(lab) == []


def test_it_changes_nothing_of_its_host(lab: Cluster, before: dict[str, str]) -> None:
    """HTCondor's kernel tuning stays off: the machine's settings are what they were before the lab."""
    assert settings_of_this_machine() == before
    for host in ("front", *lab.nodes):
        assert lab.text(["condor_config_val", "ENABLE_KERNEL_TUNING"], host=host).lower() == "false"
        done = lab.run(["test", "-s", "/var/log/condor/KernelTuning.log"], user="root", host=host)
        assert done.returncode == 1


def test_daemons_announce_the_labs_network(lab: Cluster) -> None:
    """No node has the address of docker0, which is the same on all of them."""
    addresses = lab.text(["condor_status", "-af", "MyAddress"]).splitlines()
    networks = {re.split(r"[<:]", one)[1].rpartition(".")[0] for one in addresses}
    assert len(networks) == 1
    assert len(set(addresses)) == 3


@pytest.mark.labs
def test_an_executor_that_ends_is_started_again(lab: Cluster) -> None:
    """condor_master is supervised: killed, it is there again, and the node runs jobs."""
    before = lab.text(["pgrep", "-xo", "condor_master"], host="node3")
    lab.run(["kill", "-KILL", before], host="node3", user="root", check=True)
    end = time.monotonic() + 60
    while (now := lab.run(["pgrep", "-xo", "condor_master"], host="node3").stdout.decode().strip()) in ("", before):
        assert time.monotonic() < end, now
        time.sleep(0.5)
    directory = new_directory(lab)
    only = 'requirements = Machine == "node3"'
    lab.write(f"{directory}/job.sub", f"executable = /bin/true\n{only}\nlog = job.log\nqueue\n")
    job = HTCondor().submit_example(lab, directory, "job.sub")
    assert HTCondor().wait(lab, job, 90) == 0


@pytest.mark.labs
def test_nodes_come_and_go(lab: Cluster) -> None:
    """A node that `lab add` adds runs jobs; one that has been removed is out of condor_status."""
    added = dgrid("lab", "add", "--name", lab.name)
    assert added.returncode == 0, added.stderr
    try:
        directory = new_directory(lab)
        lab.write(f"{directory}/job.sub", "executable = /bin/hostname\noutput = out\nlog = log\n"
                  'requirements = Machine == "node4"\nqueue\n')  # fmt: skip
        assert HTCondor().wait(lab, HTCondor().submit_example(lab, directory, "job.sub"), 90) == 0
        assert lab.text(["cat", f"{directory}/out"]) == "node4"
    finally:
        removed = dgrid("lab", "remove", "--name", lab.name, "node4")
    assert removed.returncode == 0, removed.stderr
    assert "node4" not in lab.text(["condor_status", "-af", "Machine"]).split()
