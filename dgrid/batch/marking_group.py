"""The group by which a batch system marks a job's processes on a node, to find them when the job ends."""

from __future__ import annotations

from dgrid.batch.sources import Surroundings
from dgrid.errors import UsageError


def marking_group(around: Surroundings) -> int | None:
    """``marking_group(Surroundings({"SGE_JOB_SPOOL_DIR": "/spool/1.1"}, read)) == 65400``; None where there is none.

    Grid Engine takes it from its ``gid_range``, on each node anew, and writes it down beside the job: sge_conf(5). The
    containers must not have it: on another node the number may be another job's, at whose end every process with it
    gets KILL. Measured on 8.1.9.
    """
    directory = around.environment.get("SGE_JOB_SPOOL_DIR")
    if not directory:
        return None
    try:
        text = around.read(f"{directory}/addgrpid").decode("ascii", "replace").strip()
    except UsageError:  # the job is no more, or a site without such groups
        return None
    return int(text) if text.isdecimal() else None
