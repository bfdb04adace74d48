"""The nodes of another job, as batch systems tell them."""

import json

import pytest

from dgrid.batch.flux import flux_list
from dgrid.batch.htcondor import condor_json
from dgrid.batch.job_nodes import Finished, nodes_of_job
from dgrid.batch.lsf import lsf_json
from dgrid.batch.oar import oar_json
from dgrid.batch.openpbs import pbs_json
from dgrid.batch.slurm import slurm_list
from dgrid.batch.torque import torque_text
from dgrid.errors import UsageError

TORQUE = """Job Id: 12.head
    Job_Name = job.sh
    job_state = R
    exec_host = node-with-a-long-name-1/0-1+node-with-a-long-name-2/0-1+node-with
\t-a-long-name-3/0
    exec_port = 15003+15003
    Hold_Types = n
"""
# Captured: OAR 2.6.1 of Debian trixie, oarstat -J -fj 7, cut short.
OAR = """{
   "7" : {
      "owner" : "alice",
      "assigned_network_address" : [
         "node1",
         "node2"
      ],
      "assigned_resources" : [
         1,
         5
      ],
      "name" : null,
      "state" : "Running"
   }
}
"""
PBS = json.dumps({"pbs_version": "23.06.06", "Jobs": {"12.head": {"job_state": "R", "exec_host": "n1/0*2+n2/1*2"}}})


class Commands:
    """A stand-in for the machine: its commands, by their first words, and what was run."""

    def __init__(self, **answers):
        self.answers = answers
        self.ran = []

    def __call__(self, argv):
        self.ran.append(" ".join(argv))
        return self.answers.get(argv[0] if argv[0] != "qstat" or "-F" not in argv else "qstat_json")


def test_slurm_is_asked_for_the_list_and_unfolds_it_itself():
    """squeue, then scontrol; a qstat of Slurm's own is left alone."""
    ask = Commands(
        squeue=Finished(0, "node[1-2],gpu7\n"), scontrol=Finished(0, "node1\nnode2\ngpu7\n"), qstat=Finished(0, TORQUE)
    )
    assert nodes_of_job("7", ask) == ("node1", "node2", "gpu7")
    assert ask.ran == ["squeue -h -j 7 -o %N", "scontrol show hostnames node[1-2],gpu7"]


def test_openpbs_is_asked_for_json():
    """Hosts of exec_host, each once."""
    assert nodes_of_job("12", Commands(qstat_json=Finished(0, PBS))) == ("n1", "n2")


def test_torque_refuses_json_and_is_asked_for_text():
    """Its long lines are broken, with a tab."""
    ask = Commands(qstat_json=Finished(2, "", "qstat: invalid option -- 'F'\n"), qstat=Finished(0, TORQUE))
    assert nodes_of_job("12", ask) == tuple(f"node-with-a-long-name-{number}" for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("command", "output", "nodes", "asked"),
    [
        # Forms of output after OAR's wiki ("oarstat vs REST API"), IBM Spectrum LSF 10.1 (bjobs -o, -json), condor_q(1)
        # of HTCondor 23, and flux-jobs(1).
        (
            "oarstat",
            '{"12": {"state": "Running", "assigned_network_address": ["host1", "host2"], "assigned_resources": [1]}}',
            ("host1", "host2"),
            "oarstat -J -fj 12",
        ),
        (
            "bjobs",
            '{"COMMAND": "bjobs", "JOBS": 1, "RECORDS": [{"EXEC_HOST": "2*hostA:hostB:hostA"}]}',
            ("hostA", "hostB"),
            "bjobs -o exec_host -json 12",
        ),
        (
            "condor_q",
            '[{"AllRemoteHosts": "slot1@n2,slot1@n3", "RemoteHost": "slot1@n2"}]',
            ("n2", "n3"),
            "condor_q -json -attributes AllRemoteHosts,RemoteHost 12",
        ),
        ("condor_q", '[{"RemoteHost": "slot1_1@n2.x.org"}]', ("n2.x.org",), None),
        ("flux", "host[1-2,4]\n", ("host1", "host2", "host4"), "flux jobs -a -n -o {nodelist} 12"),
    ],
)
def test_other_systems_are_asked_by_their_own_command(command, output, nodes, asked):
    """Each node once, in order."""
    ask = Commands(**{command: Finished(0, output)})
    assert nodes_of_job("12", ask) == nodes
    assert asked is None or asked in ask.ran


def test_a_command_without_a_system_behind_it_hides_no_other():
    """In a lab with OAR: squeue is there, too, and finds no configuration."""
    ask = Commands(
        squeue=Finished(1, "", "fatal: Could not establish a configuration source\n"), oarstat=Finished(0, OAR)
    )
    assert nodes_of_job("7", ask) == ("node1", "node2")


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (Commands(), "there is none of squeue, qstat, oarstat, bjobs, condor_q, flux here to ask"),
        (Commands(squeue=Finished(1, "", "slurm_load_jobs error: Invalid job id\n")), "squeue: slurm_load_jobs error"),
        (Commands(squeue=Finished(0, "\n")), "squeue: it has no nodes; it waits, or has ended"),
        (
            Commands(squeue=Finished(1, "", "no x\n"), oarstat=Finished(2, "", "no y\n")),
            "(squeue: no x; oarstat: no y)",
        ),
        (
            Commands(squeue=Finished(0, ""), oarstat=Finished(0, OAR)),
            "(squeue: it has no nodes; it waits, or has ended)",
        ),
        (Commands(qstat_json=Finished(153, ""), qstat=Finished(153, "", "")), "qstat: exit code 153"),
    ],
)
def test_a_job_without_known_nodes_is_an_error_that_says_why(ask, reason):
    """And what to do instead."""
    with pytest.raises(UsageError) as caught:
        nodes_of_job("12", ask)
    assert reason in str(caught.value)
    assert str(caught.value).endswith("name them with -w NODES")


@pytest.mark.parametrize("job", ["", "-a"])
def test_what_cannot_be_a_job_id_is_never_given_to_a_command(job):
    """It would be an option there."""
    ask = Commands(squeue=Finished(0, "node1"))
    with pytest.raises(UsageError):
        nodes_of_job(job, ask)
    assert ask.ran == []


def test_output_that_makes_no_sense_names_no_nodes():
    """Whatever a wrapper of the site prints."""
    assert slurm_list("(null)\n") == ()
    assert [pbs_json(text) for text in ("", "[]", '{"Jobs": {}}', '{"Jobs": {"1": {}}}')] == [(), (), (), ()]
    assert torque_text("Job Id: 1\n    job_state = Q\n") == ()
    for parse in (oar_json, lsf_json, condor_json):
        assert [parse(text) for text in ("", "No unfinished job found", "[]", "{}", "[" * 99999)] == [()] * 5
    assert oar_json('{"12": {"assigned_network_address": []}}') == ()
    assert lsf_json('{"RECORDS": [{"EXEC_HOST": "-"}]}') == ()
    assert [flux_list(text) for text in ("", "\n", "host[1-")] == [(), (), ()]
