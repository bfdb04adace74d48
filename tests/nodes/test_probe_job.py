"""What the look at a node tells of cgroups and of commands that attach to jobs."""

from __future__ import annotations

from pathlib import Path

from dgrid.nodes.link_local import LocalLink
from dgrid.nodes.probe import probe
from dgrid.nodes.probe_job import read_attachers, read_cgroups
from dgrid.plan.job_cgroup import Hierarchy, Level

SAID = """uid 2001
cgroup memory at - /slurm/uid_2001/job_42
cgroup memory memory 314572800 /slurm/uid_2001/job_42
cgroup memory processes 0 /slurm/uid_2001/job_42
cgroup memory at - /
cgroup memory memory 9223372036854771712 /
cgroup cpuset at - /a b
cgroup cpuset cpus 0-3,8 /a b
cgroup unified memory max /
cgroup broken
attach pbs_attach /opt/pbs/bin/pbs_attach
attach pbs_track /opt/with a space/pbs_track
done""".splitlines()


def test_lines_are_read():
    """Levels in their order, unlimited memory as None, paths with blanks; what is no such line is passed over."""
    assert read_cgroups(SAID) == (
        Hierarchy(
            "memory",
            (Level("/slurm/uid_2001/job_42", 314572800, None, True), Level("/", 9223372036854771712)),
        ),
        Hierarchy("cpuset", (Level("/a b", None, "0-3,8"),)),
        Hierarchy("unified", (Level("/"),)),
    )
    assert read_attachers(SAID) == (
        ("pbs_attach", "/opt/pbs/bin/pbs_attach"),
        ("pbs_track", "/opt/with a space/pbs_track"),
    )


def test_this_machines_cgroups():
    """As the kernel lists them: each from its own path up to the root, whatever the version here."""
    findings = probe(LocalLink("here"), (), (), 10)
    ours = Path("/proc/self/cgroup").read_text().splitlines()
    assert findings.cgroups
    for hierarchy in findings.cgroups:
        assert any(line.endswith(f":{hierarchy.path}") for line in ours)
        assert hierarchy.levels[-1].path == "/"
        paths = [level.path for level in hierarchy.levels]
        assert paths == sorted(paths, reverse=True)
