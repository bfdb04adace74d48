"""From options, environment and this machine to an allocation."""

import os
import socket

import pytest

from dgrid.batch.slurm import SLURM
from dgrid.cli.allocation import find_allocation, find_nodes, find_submitter
from dgrid.cli.looking import Where, find_places
from dgrid.errors import NodeFileError, UsageError

ME = socket.gethostname()


@pytest.fixture
def node_file(tmp_path):
    path = tmp_path / "nodes"
    path.write_text(f"{ME}\n{ME}\nother-node\n")
    return str(path)


def test_the_option_names_the_nodes_and_the_environment_the_job(node_file):
    """Both together, when the job's own file is not the one given."""
    made = find_allocation(node_file, None, {"PBS_JOBID": "7.s", "PBS_NODEFILE": "/nowhere", "PBS_QUEUE": "q"})
    assert [(node.name, node.slots, node.is_local) for node in made.nodes] == [(ME, 2, True), ("other-node", 1, False)]
    assert (made.batch_system, made.job_id, made.source) == ("PBS", "7.s", f"node file {node_file}")
    assert ("PBS_QUEUE", "q") in made.job_variables


def test_without_the_option_the_environment_names_the_nodes(node_file):
    """As inside a PBS job."""
    assert find_allocation(None, None, {"PBS_JOBID": "7.s", "PBS_NODEFILE": node_file}).slots == 3


def test_outside_a_job_it_is_this_machine():
    """Under its own name; or posing as several."""
    assert [node.name for node in find_allocation(None, None, {}).nodes] == [ME]
    assert len(find_allocation(None, 3, {}).nodes) == 3


def test_posing_goes_before_the_jobs_nodes(node_file):
    """--local inside a job uses this machine alone, and keeps the job id."""
    made = find_allocation(None, 2, {"PBS_JOBID": "7.s", "PBS_NODEFILE": node_file})
    assert (len(made.nodes), made.machines, made.job_id) == (2, 1, "7.s")


def test_an_address_of_this_machine_is_this_machine(tmp_path):
    """127.0.0.1 always is; 192.0.2.1 is nobody's (RFC 5737)."""
    path = tmp_path / "nodes"
    path.write_text("192.0.2.1\n127.0.0.1\n")
    assert find_allocation(str(path), None, {}).here.name == "127.0.0.1"


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (("", None), {}, r"--hostfile is empty; if it was to be \$PBS_NODEFILE, that is set inside a job only"),
        (("/no/such/file", None), {}, r"/no/such/file: cannot read the node file \(No such file or directory\) — give"),
        (("/etc", None), {}, r"/etc: cannot read the node file \(Is a directory\)"),
        (("a\0b", None), {}, r"cannot read the node file \(embedded null byte\)"),
        (("/dev/zero", None), {}, "/dev/zero: more than 16 MiB"),
        (("x", 2), {}, "--hostfile and --local contradict each other"),
        ((None, None), {"PBS_JOBID": "7.s"}, r"a job of PBS, but \$PBS_NODEFILE is not set"),
    ],
)
def test_what_is_said_of_wrong_options(options, environment, words):
    """Wrong usage: exit code 2, and the next step."""
    with pytest.raises(UsageError, match=words) as caught:
        find_allocation(*options, environment)
    assert caught.value.exit_code == 2


def test_a_node_file_without_this_machine_is_refused(tmp_path):
    """As on a login node."""
    path = tmp_path / "nodes"
    path.write_text("elsewhere1\nelsewhere2\n")
    with pytest.raises(UsageError, match=rf"names elsewhere\[1-2\], but dgrid runs on {ME}, which is none of them"):
        find_allocation(str(path), None, {})


def test_a_bad_node_file_is_reported_by_line(tmp_path):
    """With the path as it was given."""
    path = tmp_path / "nodes"
    path.write_text(f"{ME}\nb;d\n")
    with pytest.raises(NodeFileError, match=rf"{path}:2:2: "):
        find_allocation(str(path), None, {})


def test_the_submitter_is_the_user_of_this_process():
    """With its real ids and groups."""
    found = find_submitter()
    assert (found.uid, found.gid, set(found.groups)) == (os.getuid(), os.getgid(), set(os.getgroups()))


def test_the_batch_systems_mark_is_none_of_the_submitters_groups(tmp_path, monkeypatch):
    """On another node its number may be another job's, which would end this one's containers with it."""
    (tmp_path / "addgrpid").write_text("65400\n")
    monkeypatch.setenv("SGE_JOB_SPOOL_DIR", str(tmp_path))
    monkeypatch.setattr(os, "getgroups", lambda: [100, 65400])
    assert find_submitter().groups == (100,)


def slurm(**changes):
    return {"SLURM_JOB_ID": "9", "SLURM_JOB_NODELIST": f"{ME},far[1-2]", "SLURM_TASKS_PER_NODE": "2(x3)", **changes}


@pytest.fixture
def job_ad(tmp_path):
    path = tmp_path / ".job.ad"
    path.write_text(f'ClusterId = 5\nProcId = 0\nAllRemoteHosts = "slot1@{ME},slot1@far"\n')
    return {"_CONDOR_JOB_AD": str(path), "_CONDOR_PROCNO": "0", "_CONDOR_NPROCS": "2"}


def test_slurms_own_variables_name_the_nodes():
    """Without any option, as in a script of sbatch."""
    made = find_allocation(None, None, slurm())
    assert [(node.name, node.slots) for node in made.nodes] == [(ME, 2), ("far1", 2), ("far2", 2)]
    assert (made.batch_system, made.job_id, made.source) == ("Slurm", "9", "Slurm's $SLURM_JOB_NODELIST")
    assert made.told is not None
    assert made.told.reach == SLURM.reach
    assert ("slots", "$SLURM_TASKS_PER_NODE") in made.told.taken


def test_a_file_of_the_batch_system_is_read(job_ad):
    """HTCondor's job ad has the nodes, and the job's id."""
    made = find_allocation(None, None, job_ad)
    assert ([node.name for node in made.nodes], made.job_id) == ([ME, "far"], "5.0")


def test_options_win_over_any_batch_system(node_file, job_ad):
    """Also where its file has gone."""
    assert find_allocation(node_file, None, job_ad).job_id == "5.0"
    gone = {**job_ad, "_CONDOR_JOB_AD": "/no/such/ad"}
    with pytest.raises(UsageError, match=r"\$_CONDOR_JOB_AD: /no/such/ad: cannot read .* is the job still there"):
        find_allocation(None, None, gone)
    assert find_allocation(node_file, None, gone).slots == 3


def test_one_process_of_many_is_refused_with_a_node_file_too(node_file, job_ad):
    """Or there would be a run for each, all on the same nodes. --local is a run on each one's own machine."""
    htcondor = {**job_ad, "_CONDOR_PROCNO": "1"}
    for environment, system in ((htcondor, "HTCondor"), (slurm(SLURM_PROCID="1"), "Slurm")):
        for hostfile in (None, node_file):
            with pytest.raises(UsageError, match=f"this is process 1 of those that {system} has started for the job"):
                find_allocation(hostfile, None, environment)
        assert find_allocation(None, 2, environment).machines == 1
    assert find_allocation(node_file, None, slurm(SLURM_PROCID="0")).slots == 3


def test_two_systems_at_once_are_said(node_file):
    """Which was taken for what; no contradiction, as that is how Slurm's Torque commands are."""
    made = find_allocation(None, None, slurm(PBS_JOBID="9", PBS_NODEFILE=node_file))
    assert made.told is not None
    assert (made.source, made.told.contradictions) == (f"node file {node_file}", ())
    assert made.told.remarks == (
        "there are variables of Slurm, too: the job is taken to be one of PBS, the inner of them; Slurm ends it",
    )


def test_job_ids_of_two_systems_are_told_with_any_option(node_file):
    """As variables that contradict are: a run warns of it."""
    environment = slurm(PBS_JOBID="12.head", PBS_NODEFILE=node_file)
    for options in ((None, None), (node_file, None), (None, 1)):
        made = find_allocation(*options, environment)
        assert made.told is not None
        assert (made.job_id, made.ended_by) == ("12.head", "PBS")
        assert made.told.contradictions == ("$SLURM_JOB_ID is 9, but $PBS_JOBID is 12.head, which was taken",)


def test_the_jobs_nodes_are_looked_at_from_any_host():
    """dgrid ps within the job; a job without known nodes is looked at here only."""
    where = Where(None, None, None, None, None, None, None)
    elsewhere = slurm(SLURM_JOB_NODELIST="far[1-3]")
    places = find_places(where, elsewhere)
    assert ([node.name for node in places.nodes], places.job) == (["far1", "far2", "far3"], "9")
    assert [node.name for node in find_places(where, {"SLURM_JOB_ID": "9"}).nodes] == [ME]
    assert find_nodes(None, None, elsewhere)[1].name == "far1"
