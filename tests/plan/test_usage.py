"""What containers use, from the samples of Docker and Podman."""

import pytest

from dgrid.plan.usage import sample, usage

DOCKER = {
    "read": "2026-11-20T14:00:00.123456789Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 2_000_000_000}},
    "memory_stats": {"usage": 5000, "limit": 100_000, "stats": {"inactive_file": 1000}},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"op": "Read", "value": 10},
            {"op": "write", "value": 20},
            {"op": "Read", "value": 1},
            {"op": "Total", "value": 31},
        ]
    },
    "networks": {"eth0": {"rx_bytes": 7, "tx_bytes": 8}, "eth1": {"rx_bytes": 1, "tx_bytes": 1}},
    "pids_stats": {"current": 3},
}


def test_a_sample_has_all_that_is_counted():
    """Disks and networks summed up, file cache that can be given back left out."""
    found = sample(DOCKER)
    assert (found.memory_bytes, found.limit_bytes, found.processes) == (4000, 100_000, 3)
    assert (found.read_bytes, found.written_bytes, found.received_bytes, found.sent_bytes) == (11, 20, 8, 9)


def test_what_an_engine_does_not_count_is_not_there():
    """In the node's own network, and where the disks are not counted."""
    found = sample({"read": DOCKER["read"], "cpu_stats": DOCKER["cpu_stats"]})
    assert {found.memory_bytes, found.limit_bytes, found.read_bytes, found.received_bytes, found.processes} == {None}


def test_cgroup_v1_calls_the_file_cache_by_another_name():
    """total_inactive_file; it counts the groups below, too."""
    memory = {"usage": 5000, "stats": {"total_inactive_file": 2000, "inactive_file": 1}}
    assert sample({**DOCKER, "memory_stats": memory}).memory_bytes == 3000


def test_cpu_is_100_for_one_busy_core():
    """From the time between two samples, by the node's clock."""
    later = {
        **DOCKER,
        "read": "2026-11-20T14:00:02.123456789Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 5_000_000_000}},
    }
    assert usage(sample(DOCKER), sample(later)).cpu_percent == pytest.approx(150)
    assert usage(None, sample(later)).cpu_percent is None
    assert usage(sample(later), sample(later)).cpu_percent is None


@pytest.mark.parametrize("broken", [{}, {"read": "", "cpu_stats": {}}, {"read": DOCKER["read"], "cpu_stats": {}}])
def test_a_container_that_has_ended_has_no_sample(broken):
    """The engine then answers without counters."""
    with pytest.raises((KeyError, ValueError)):
        sample(broken)
