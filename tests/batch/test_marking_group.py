"""The group of a job's processes, which containers must not have."""

from __future__ import annotations

from dgrid.batch.marking_group import marking_group
from dgrid.batch.sources import Surroundings
from dgrid.errors import UsageError

JOB = {"SGE_JOB_SPOOL_DIR": "/var/spool/gridengine/execd/node1/active_jobs/1.1", "JOB_ID": "1"}


def files(path: str) -> bytes:
    """Captured in a job of Grid Engine 8.1.9."""
    if path == "/var/spool/gridengine/execd/node1/active_jobs/1.1/addgrpid":
        return b"65400\n"
    raise UsageError(path)


def test_grid_engines_group_is_known() -> None:
    """It is in a file of the job's spool directory."""
    assert marking_group(Surroundings(JOB, files)) == 65400


def test_no_group() -> None:
    """Outside a job, where the file has gone, and where it has no number."""
    assert marking_group(Surroundings({}, files)) is None
    assert marking_group(Surroundings({"SGE_JOB_SPOOL_DIR": "/gone"}, files)) is None
    assert marking_group(Surroundings(JOB, lambda _path: b"none\n")) is None
