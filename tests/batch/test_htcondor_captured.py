"""What dgrid makes of a real job of HTCondor."""

from environments import around
from htcondor_captured import FILES, PROCESS_0

from dgrid.batch.detect import detect_in, nodes_of, other_rank, shares_of


def test_a_real_job_of_the_parallel_universe():
    """Nodes and slots, id, owner, directory; nothing contradicts, and no other system is seen."""
    seen = around(PROCESS_0, files=FILES)
    job = detect_in(seen)
    listed = nodes_of(job, seen)
    assert (job.system, job.job_id, job.owner, job.submit_directory) == ("HTCondor", "2.0", "alice", "/home/alice/t")
    assert (listed.nodes, listed.contradictions) == ((("node1", 1), ("node2", 1), ("node3", 1)), ())
    assert (job.others, other_rank(job)) == ((), None)


def test_its_containers_get_no_paths_of_the_machine():
    """Of the environment only what is the job's own."""
    job = detect_in(around(PROCESS_0, files=FILES))
    assert dict(job.variables) == {
        "BATCH_SYSTEM": "HTCondor",
        "_CONDOR_JOB_IWD": "/home/alice/t",
        "_CONDOR_NPROCS": "3",
        "_CONDOR_SLOT": "slot1_3",
    }


def test_it_has_the_slots_share_of_this_node():
    """One CPU, 128 MB and no GPU; NVIDIA_VISIBLE_DEVICES=none is none, too."""
    seen = around(PROCESS_0, files=FILES)
    share = shares_of(detect_in(seen), seen).of("node1", True)
    assert (share.cpu_count, share.memory_bytes, share.gpus) == (1, 128 * 1024**2, ())
