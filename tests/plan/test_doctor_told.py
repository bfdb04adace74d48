"""``dgrid doctor`` on what the batch system told."""

from dataclasses import replace

from examined import machine, subject
from made import define, worker

from dgrid.plan.allocation import Told
from dgrid.plan.checkup import State
from dgrid.plan.doctor import diagnose

TOLD = Told(
    taken=(("nodes", "$SLURM_JOB_NODELIST"), ("job", "$SLURM_JOB_ID")),
    remarks=("there are variables of PBS, too",),
    contradictions=("$SLURM_JOB_NUM_NODES is 9, but $SLURM_JOB_NODELIST makes it 2, which was taken",),
)


def found(definition=None):
    one = subject(2, definition)
    one = replace(one, allocation=replace(one.allocation, told=TOLD))
    return diagnose(one, (machine(1), machine(2)))


def test_the_variables_are_named_and_contradictions_noted():
    """The other system is no note: Slurm's Torque commands always are two."""
    told = [one for one in found() if one.check == "job.variables"]
    assert [(one.state, one.what) for one in told] == [
        (State.OK, "taken from the batch system, nodes: $SLURM_JOB_NODELIST; job: $SLURM_JOB_ID"),
        (State.OK, TOLD.remarks[0]),
        (State.NOTE, TOLD.contradictions[0]),
    ]
    assert told[2].remedy == "if that is wrong, give the nodes with --hostfile"


def test_a_contradiction_is_told_once():
    """Though a run warns of it, too."""
    findings = found(define(worker()))
    assert [one.check for one in findings if one.what == TOLD.contradictions[0]] == ["job.variables"]
