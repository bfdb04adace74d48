"""Which batch system a job is of, and what of its variables is given on."""

import pytest
from environments import OPENPBS, SLURM_WITH_TORQUE_COMMANDS, TORQUE, around

from dgrid.batch.detect import SYSTEMS, detect_in, tells_nodes


@pytest.mark.parametrize(
    ("environment", "system", "job_id"),
    [(OPENPBS, "PBS", "38[2].head"), (TORQUE, "Torque", "0.head"), (SLURM_WITH_TORQUE_COMMANDS, "PBS", "7")],
)
def test_a_job_is_recognised(environment, system, job_id):
    """By the variables its batch system sets."""
    job = detect_in(around(environment))
    assert job is not None
    assert (job.system, job.job_id) == (system, job_id)


def test_outside_any_job():
    """Neither unrelated variables nor empty ones make a job."""
    assert detect_in(around({"HOME": "/root", "PBS_CONF_FILE": "/etc/pbs.conf"})) is None
    assert detect_in(around({"PBS_JOBID": "", "PBS_NODEFILE": ""})) is None


def test_containers_get_the_jobs_own_variables():
    """Array members know their number; what belongs to the host stays there."""
    job = detect_in(around(OPENPBS))
    assert job is not None
    assert dict(job.variables) == {
        "NCPUS": "2",
        "PBS_ARRAY_ID": "38[].head",
        "PBS_ARRAY_INDEX": "2",
        "PBS_JOBID": "38[2].head",
        "PBS_JOBNAME": "job.sh",
        "PBS_O_WORKDIR": "/home/alice/job",
    }


@pytest.mark.parametrize("name", ["PBS_JOBCOOKIE", "PBS_MOMPORT", "PBS_AUTH_TOKEN", "PBS_MY_PASSWORD", "PBS_X_KEY"])
def test_what_opens_doors_is_never_given_on(name):
    """Whatever the system."""
    for environment in (OPENPBS, TORQUE):
        job = detect_in(around({**environment, name: "s3cret"}))
        assert job is not None
        assert "s3cret" not in dict(job.variables).values()


def test_a_job_may_leave_things_out():
    """None where a variable is not set."""
    job = detect_in(around({"PBS_JOBID": "1.head"}))
    assert job is not None
    assert (job.job_id, tells_nodes(job)) == ("1.head", False)
    job = detect_in(around({"PBS_NODEFILE": "/n"}))
    assert job is not None
    assert (job.job_id, tells_nodes(job)) == (None, True)


def test_each_row_finds_itself():
    """No row of the table is hidden by one above it."""
    for system in SYSTEMS:
        job = detect_in(around({system.signs[0]: "1", system.job_id: "9"}))
        assert job is not None
        assert job.system == system.name


@pytest.mark.parametrize(
    ("environment", "ended_by", "leaves_s"),
    [(OPENPBS, "PBS", 10.0), (TORQUE, "Torque", 2.0), (SLURM_WITH_TORQUE_COMMANDS, "Slurm", 30.0)],
)
def test_who_ends_the_job(environment, ended_by, leaves_s):
    """And the time it leaves for that: Slurm's is Slurm's, whatever the variables are called."""
    job = detect_in(around(environment))
    assert job is not None
    assert (job.ended_by, job.leaves_s) == (ended_by, leaves_s)
