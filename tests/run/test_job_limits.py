"""Containers and their batch job: its cgroup and limits, being attached to it, and ending ahead of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from cluster import Cluster
from jobs import Jobs, head, shell, worker

pytestmark = pytest.mark.lab

# A job's cgroup as Slurm makes it, with CPU 0 and 300 MB, below this host's own; and this shell in it.
ENTER = """
set -e
if [ -d /sys/fs/cgroup/memory ]; then
  own=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup); trees='memory cpuset'; all=cpu
else
  own=; trees=.; all=.
fi
for tree in $trees $all; do
  at=/sys/fs/cgroup/$tree$own
  for part in slurm uid_2001 job_42 step_batch; do
    [ $tree != . ] || echo '+memory +cpuset' >$at/cgroup.subtree_control
    mkdir -p $at/$part
    [ ! -e $at/cpuset.mems ] || cat $at/cpuset.mems >$at/$part/cpuset.mems
    [ ! -e $at/$part/cpuset.cpus ] || echo 0 >$at/$part/cpuset.cpus
    at=$at/$part
  done
done
for tree in $trees; do
  job=/sys/fs/cgroup/$tree$own/slurm/uid_2001/job_42
  for file in memory.limit_in_bytes memory.max; do [ ! -e $job/$file ] || echo 314572800 >$job/$file; done
  echo $$ >$job/step_batch/cgroup.procs
done
job=/sys/fs/cgroup/$all$own/slurm/uid_2001/job_42
"""
# What makes engines fail to start containers in it: less CPU time than they ask for (v1), no room for them (v2).
REFUSE = """
if [ -e $job/cpu.cfs_quota_us ]; then echo 10000 >$job/cpu.cfs_quota_us; else echo 1 >$job/cgroup.max.descendants; fi
"""
# Whether a container comes up in it while dgrid runs.
LOOK = """ &
until ls $job | grep -qE '^[0-9a-f]{64}$'; do kill -0 $! 2>/dev/null || break; sleep 0.05; done
ls $job | grep -qE '^[0-9a-f]{64}$' && echo inside
wait $!
"""
LEAVE = """
own=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
find /sys/fs/cgroup/*$own/slurm /sys/fs/cgroup/slurm -depth -type d -exec rmdir {} + 2>/dev/null
! find /sys/fs/cgroup$own /sys/fs/cgroup/*$own -type d -name slurm 2>/dev/null | grep .
"""
LIMITS = shell(
    "sleep 1; sed -n 's/Cpus_allowed_list:/cpus/p' /proc/self/status; "
    "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true"
)
FAKE_ATTACH = """#!/bin/sh
# A stand-in: the real one is not in Debian. Writes down how it was called, and for whom.
name=$(tr '\\0' '\\n' </proc/$4/environ | sed -n 's/^DGRID_NAME=//p')
echo "$(hostname) $1 $2 $3 $name" >>/home/alice/attached
[ "$name" != w-2 ] || { echo 'pbs_attach: not allowed' >&2; exit 1; }
"""


@pytest.fixture
def left(docker_lab: Cluster) -> Iterator[None]:
    """Removes the cgroups of the test's job."""
    yield
    docker_lab.run(LEAVE, user="root", host="node1", check=True)


@pytest.mark.usefixtures("left")
def test_containers_are_in_the_jobs_cgroup(docker_jobs: Jobs) -> None:
    """On the node where the job has one. Where it refuses to take any, the run begins again, with its limits; on
    another node, where a log-in is in no job, nothing is done."""
    arguments = docker_jobs.write(
        head(*LIMITS, resources={"memory": "300m", "cpus": 0.5}), worker("w"), nodes=("node1", "node2"), network="host"
    )
    run = f"su alice -c 'cd; PBS_JOBID=42 PBS_NODEFILE=x dgrid -q {arguments}'"

    done = docker_jobs.lab.run(ENTER + run + LOOK, user="root", host="node1", check=True)
    where, cpus, memory = done.stdout.decode().splitlines()
    assert where == "inside"
    assert cpus.split() == ["cpus", "0"]
    assert memory == "314572800"
    assert done.stderr == b""

    done = docker_jobs.lab.run(ENTER + REFUSE + run, user="root", host="node1", check=True)
    assert "beginning again, with the job's limits for each container" in done.stderr.decode()
    cpus, memory = done.stdout.decode().splitlines()
    assert cpus.split() == ["cpus", "0"]
    assert memory == "314572800"
    assert docker_jobs.left() == []


@pytest.mark.usefixtures("left")
def test_instances_have_cpus_of_their_own(docker_jobs: Jobs) -> None:
    """Real sets of CPUs: of the two that are the job's each worker has one, the head both; a third finds none. So
    with memory, by the node that has too little, and the place in the file."""
    show = shell("sed -n 's/Cpus_allowed_list:[[:space:]]*//p' /proc/self/status >/out/cpus-$DGRID_NAME; sleep 300")
    wait = shell(
        "until [ -s /out/cpus-w-1 ] && [ -s /out/cpus-w-2 ]; do sleep 0.1; done; cat /out/cpus-*; "
        "sed -n 's/Cpus_allowed_list:[[:space:]]*//p' /proc/self/status"
    )
    docker_jobs.lab.run("rm -rf /home/alice/out; mkdir /home/alice/out", check=True)
    two_cpus = ENTER.replace("|| echo 0 >", "|| echo 0-1 >")
    assert two_cpus != ENTER

    def run(workers: int, **resources: object) -> tuple[int, list[str], str]:
        arguments = docker_jobs.write(
            head(*wait, volumes=["/home/alice/out:/out"]),
            worker("w", *show, scale=workers, volumes=["/home/alice/out:/out"], resources=resources),
            nodes=("node1",) * 4,
        )
        command = f"su alice -c 'cd; PBS_JOBID=42 PBS_NODEFILE=x dgrid -q {arguments}'"
        done = docker_jobs.lab.run(two_cpus + command, user="root", host="node1")
        return done.returncode, done.stdout.decode().split(), done.stderr.decode()

    assert run(2, cpus=1) == (0, ["0", "1", "0-1"], "")
    code, _, said = run(3, cpus=1)
    assert code == 2
    assert "resources.cpus: the instances on node1 ask for 3 CPUs, but the job has 2 there" in said
    code, _, said = run(2, memory="200m")
    assert code == 2
    assert re.search(
        r"job\.json:1:\d+: containers\[1\]\.resources\.memory: the instances on node1 ask for 400m of memory, "
        "but the job has 300m there",
        said,
    )
    assert docker_jobs.left() == []


def test_containers_are_attached_to_the_job(docker_jobs: Jobs) -> None:
    """By a stand-in for pbs_attach on each node: all instances, also one that is started again. Failing is a remark."""
    lab = docker_jobs.lab
    arguments = docker_jobs.write(
        head(*shell("until grep -c . /home/alice/attached | grep -q 5; do sleep 0.1; done")),
        worker("w", scale=2),
        worker(
            "again",
            *shell("[ -e /tmp/second ] || { touch /tmp/second; sleep 1; exit 1; }; sleep 300"),
            failure_policy="restart",
            max_restarts=1,
            depends_on=["w"],
        ),
        nodes=("node1", "node2", "node1", "node2"),
        network="host",
    )
    definition = json.loads(lab.text(f"cat {arguments.split('--dockdef=')[1]}"))
    definition["containers"][0]["volumes"] = ["/home/alice:/home/alice:ro"]
    lab.write(arguments.split("--dockdef=")[1], json.dumps(definition))
    try:
        for node in ("node1", "node2"):
            lab.run("cat >$0 && chmod 755 $0".replace("$0", "/usr/local/bin/pbs_attach"), user="root", host=node,
                    input=FAKE_ATTACH.encode(), check=True)  # fmt: skip
        lab.run("rm -f attached; touch attached", check=True)
        done = docker_jobs.dgrid(arguments, before="export PBS_JOBID=42.head PBS_NODEFILE=x; exec timeout 30")
        said = lab.text("cat attached").splitlines()
    finally:
        for node in ("node1", "node2"):
            lab.run("rm -f /usr/local/bin/pbs_attach", user="root", host=node, check=True)
    assert done.code == 0, done.err
    assert sorted({line.split()[4] for line in said}) == ["again", "head", "w-1", "w-2"]
    assert sum(line.endswith(" again") for line in said) == 2
    assert all(line.split()[1:4] == ["-j", "42.head", "-p"] for line in said)
    assert done.err.count("not all containers there are attached to the job: pbs_attach: not allowed") == 1


def test_a_run_ends_ahead_of_its_job(docker_jobs: Jobs) -> None:
    """By the batch system's own word for the time that is left; in order, and with TERM's exit code."""
    lab = docker_jobs.lab
    definition = docker_jobs.write(head(*shell("trap 'echo asked; exit 3' TERM; echo up; sleep 60 & wait")))
    script = "#!/bin/bash\n#PBS -l nodes=1\n#PBS -l walltime=00:01:00\ndgrid --dockdef={} --stop-before 52s\n"
    job = lab.qsub(script.format(definition.split("--dockdef=")[1]))
    assert lab.wait_job(job).exit_code == 143
    assert lab.text(f"cat {lab.submitted_from(job)}/*.o{job}") == "up\nasked"
    assert "dgrid: the job's time is over in 52 s; ending" in lab.text(f"cat {lab.submitted_from(job)}/*.e{job}")
    assert docker_jobs.left() == []
