"""``dgrid doctor`` on what the batch system told."""

from dataclasses import replace

from examined import machine, subject
from made import define, worker

from dgrid.plan.allocation import Told
from dgrid.plan.checkup import State
from dgrid.plan.doctor import diagnose
from dgrid.plan.job_share import JobShare

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


def test_what_the_job_has_of_each_node_is_told():
    """Equal nodes in one line; nothing of a node that nothing is told of."""
    one = subject(3)
    share = JobShare(("0", "2"), cpu_count=4)
    nodes = tuple(replace(node, share=share if rank < 2 else JobShare()) for rank, node in enumerate(one.nodes))
    one = replace(one, allocation=replace(one.allocation, nodes=nodes))
    told = [found for found in diagnose(one, (machine(1), machine(2), machine(3))) if found.check == "job.share"]
    assert [(found.nodes, found.state, found.what) for found in told] == [
        (("node1", "node2"), State.OK, "of the node the job has GPUs 0 and 2, 4 CPUs")
    ]
