"""``--stop-before`` on the command line, before anything is contacted."""

from __future__ import annotations

import time

import pytest
from click.testing import CliRunner

from dgrid.cli.narrator import StderrNarrator
from dgrid.cli.run import run
from dgrid.cli.stop_before import stopped_before
from dgrid.errors import UsageError
from dgrid.nodes.signals import StopSignals


def slurm(left_s):
    """A job of Slurm's on a machine without squeue."""
    return {"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": str(int(time.time() + left_s))}


@pytest.mark.parametrize("text", ["soon", "-5s", "0", "5 minutes"])
def test_what_is_no_time(text):
    """Wrong usage, and what is right."""
    done = CliRunner().invoke(run, ["--dockdef", "job.json", "--stop-before", text])
    assert done.exit_code == 2
    assert "--stop-before" in done.output


def test_without_a_known_end_it_warns(capsys):
    """The run goes on, and the user knows that the option does nothing."""
    with stopped_before(30.0, {"_CONDOR_JOB_AD": "/ad"}, StopSignals(), StderrNarrator(True, False)):
        pass
    said = capsys.readouterr().err
    assert said == "dgrid: --stop-before has no effect: HTCondor does not tell the end of this job\n"


def test_a_job_too_short_is_wrong_usage():
    """Rather than a run that is ended while it starts."""
    with pytest.raises(UsageError, match=r"--stop-before 5 min: the job has only \d+ s left"):
        stopped_before(300.0, slurm(40), StopSignals(), StderrNarrator(True, False))


def test_a_known_end_is_awaited_quietly(capsys):
    """Neither a warning nor an error."""
    with stopped_before(30.0, slurm(4000), StopSignals(), StderrNarrator(True, False)):
        pass
    assert capsys.readouterr().err == ""
    with stopped_before(None, {}, StopSignals(), StderrNarrator(True, False)):
        pass
    assert capsys.readouterr().err == ""
