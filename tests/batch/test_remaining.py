"""How much time a job has left, from what each batch system says.

What Slurm and Torque say is real, cut short; OpenPBS's JSON is put together after its manual.
"""

import time

import pytest

from dgrid.batch.ending import attach_command, ending_of
from dgrid.batch.remaining import Sources, remaining

NOW = 1795183400.0
SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "1795183555", "PBS_JOBID": "7", "PBS_NP": "2"}
TORQUE = {"PBS_JOBID": "67048.xena", "PBS_NUM_NODES": "1", "PBS_WALLTIME": "10800"}
OPENPBS = {"PBS_JOBID": "0.head", "PBS_NODEFILE": "/var/spool/pbs/aux/0.head"}
HTCONDOR = {"_CONDOR_JOB_AD": "/x"}
GRID_ENGINE = {"SGE_JOB_SPOOL_DIR": "/var/spool/x", "JOB_ID": "3"}
OAR = {"OAR_JOB_ID": "12", "OAR_JOB_WALLTIME_SECONDS": "300"}

TORQUE_QSTAT = """Job Id: 67048.xena
    Job_Name = BipolarCox_138
    job_state = R
    Resource_List.nodes = 1:ppn=2
    Resource_List.walltime = 03:00:00
    start_time = Tue Feb 19 12:47:56 2019
    Walltime.Remaining = 8598
    start_count = 1
"""
OPENPBS_QSTAT = """{
    "timestamp":1795183400,
    "pbs_version":"23.06.06",
    "Jobs":{
        "0.head":{
            "Job_Name":"job.sh",
            "resources_used":{"cput":"00:00:00","walltime":"%s"},
            "job_state":"R",
            "Resource_List":{"ncpus":1,"walltime":"00:10:00"},
            "stime":"%s"
        }
    }
}"""


def ctime(seconds_ago):
    return time.ctime(NOW - seconds_ago)


def left(environment, answers=(), age_s=None):
    """The time left when exactly these commands are answered."""
    table = dict(answers)
    return remaining(Sources(environment, NOW, table.get, lambda: age_s))


def squeue(answer):
    return {("squeue", "--noheader", "--jobs=7", "--format=%L"): answer}


def qstat_json(used, started):
    return {("qstat", "-f", "-F", "json", "0.head"): OPENPBS_QSTAT % (used, started)}


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [("1:58\n", 118), ("1-02:03:04", 93784), ("0:00", 0), ("UNLIMITED\n", None), ("INVALID", None)],
)
def test_slurm_is_asked(answer, seconds):
    """squeue knows of a walltime that was changed; a job without a limit has no end that is known."""
    assert left(SLURM, squeue(answer)).left_s == seconds


def test_slurm_without_an_answer():
    """The environment has the end as it was at the job's start."""
    assert left(SLURM).left_s == 155
    assert left({"SLURM_JOB_ID": "7"}).left_s is None


def test_torque_tells_the_rest():
    """qstat's own reckoning; where it does not answer, what was asked for and the job's age."""
    assert left(TORQUE, {("qstat", "-f", "67048.xena"): TORQUE_QSTAT}).left_s == 8598
    assert left(TORQUE, age_s=800.0).left_s == 10000
    assert left(TORQUE).left_s is None


@pytest.mark.parametrize(
    ("used", "started_ago", "seconds"), [("00:00:05", 65, 535), ("00:02:00", 65, 480), ("00:00:00", 700, -100)]
)
def test_openpbs_counts_from_the_start(used, started_ago, seconds):
    """What mom has counted lags behind: the larger of it and the time since the start is used up."""
    assert left(OPENPBS, qstat_json(used, ctime(started_ago))).left_s == seconds


@pytest.mark.parametrize("answer", [None, "", "qstat: Unknown Job Id", "[]", '{"Jobs":{}}', '{"Jobs":{"0.head":{}}}'])
def test_openpbs_without_an_answer(answer):
    """Nothing is made up, and the system is named."""
    found = left(OPENPBS, {("qstat", "-f", "-F", "json", "0.head"): answer})
    assert found.left_s is None
    assert found.why == "PBS does not tell the end of this job"


def test_oar_says_how_long_it_may_run():
    """The walltime stands in the environment, the start does not: the age of the job's first process is taken."""
    assert left(OAR, age_s=40.0).left_s == 260
    assert left(OAR).left_s is None


def test_grid_engine_tells_what_was_asked_for():
    """Captured on 8.1.9: qstat -j in a job of qsub -l h_rt=0:10:00, cut short. Other limits are no end of the job."""
    said = "job_number:                 1\nhard resource_list:         h_rt=600\nnotify:                     FALSE\n"
    asked = ("qstat", "-j", "3")
    assert left(GRID_ENGINE, {asked: said}, 40.0).left_s == 560
    assert left(GRID_ENGINE, {asked: said.replace("h_rt", "h_vmem=2G,h_rt")}, 40.0).left_s == 560
    assert left(GRID_ENGINE, {asked: said.replace("h_rt=600", "h_vmem=600")}, 40.0).left_s is None
    assert left(GRID_ENGINE, {asked: said}).left_s is None


def test_htcondor_tells_what_was_allowed():
    """After condor_submit(1): allowed_job_duration, counted from the start that the job ad has."""
    ad = f"AllowedJobDuration = 3600\nJobCurrentStartDate = {int(NOW) - 600}\nClusterId = 5\n"
    asked = ("cat", "/x")
    assert left(HTCONDOR, {asked: ad}).left_s == 3000
    assert left(HTCONDOR, {asked: ad.partition("JobC")[0]}, 100.0).left_s == 3500
    assert left(HTCONDOR, {asked: ad.replace("3600", "ifthenelse(true, 1, 2)")}).left_s is None


@pytest.mark.parametrize(("said", "left_s"), [("01:30 L\n", 5400), ("0:05 L", 300), ("00:10 E", None), ("-\n", None)])
def test_lsf_tells_the_rest(said, left_s):
    """After IBM's reference of bjobs; an estimate is no limit."""
    assert left({"LSB_JOBID": "12"}, {("bjobs", "-noheader", "-o", "time_left", "12"): said}).left_s == left_s


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"HOME": "/root"}, "no job"),
        (HTCONDOR, "HTCondor"),
        (GRID_ENGINE, "Grid Engine"),
    ],
)
def test_what_cannot_be_known_is_said(environment, why):
    """Which system it is, or that it is none."""
    found = left(environment)
    assert found.left_s is None
    assert why in found.why


@pytest.mark.parametrize(
    ("environment", "system", "leaves_s"),
    [(SLURM, "Slurm", 30.0), (TORQUE, "Torque", 2.0), (OPENPBS, "PBS", 10.0), (OAR, "OAR", None)],
)
def test_time_between_term_and_kill(environment, system, leaves_s):
    """As the systems are delivered. Slurm's Torque commands do not hide Slurm."""
    row = ending_of(environment)
    assert row is not None
    assert (row.name, row.leaves_s) == (system, leaves_s)


def test_a_process_is_attached_to_the_job():
    """By the system's own command, where it has one."""
    assert attach_command("PBS", "38[2].head", 4711) == ("pbs_attach", "-j", "38[2].head", "-p", "4711")
    torque = attach_command("Torque", "0.head", 7, "/opt/bin/pbs_track")
    assert torque == ("/opt/bin/pbs_track", "-j", "0.head", "-a", "7")
    assert attach_command("Slurm", "7", 1) is None
    assert attach_command("PBS", None, 1) is None
    assert attach_command(None, "0.head", 1) is None
