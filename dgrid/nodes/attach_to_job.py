"""Making containers' processes part of the job, where PBS or Torque has a command for that on the node.

What is attached is counted and killed by the batch system. pbs_attach and pbs_track take a process with its whole
session, from its owner alone, and on hosts of the job alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import field

from dgrid.batch.ending import attach_command
from dgrid.errors import NodeError
from dgrid.nodes.machine import Machine
from dgrid.record import record

_PATIENCE_S = 10.0


@record
class Job:
    """The job of a run: who ends it (as ``dgrid.batch.ending`` calls it) and its id. None outside a job.

    Threads that work for the run leave their remarks here, each of them once, until somebody tells them.
    """

    system: str | None = None
    job_id: str | None = None
    _remarks: dict[str, bool] = field(default_factory=dict)

    def remark(self, text: str) -> None:
        """Something to be told, unless it was told before."""
        self._remarks.setdefault(text, False)

    def untold(self) -> tuple[str, ...]:
        """The remarks since this was called last."""
        texts = tuple(text for text, told in list(self._remarks.items()) if not told)
        self._remarks.update(dict.fromkeys(texts, True))
        return texts


def attaches(machine: Machine, job: Job) -> bool:
    """Whether there is anything to attach by on a machine."""
    known = attach_command(job.system, job.job_id, 0)
    return known is not None and known[0] in dict(machine.attachers)


def attach_containers(machine: Machine, container_ids: Iterable[str], job: Job) -> None:
    """Attach the processes of running containers on one machine, by one command there.

    Does nothing outside a job, and where the node has no command for it. What fails is a remark, once a machine:
    with PBS's cgroups hook the containers are in the job all the same.
    """
    commands = _commands(machine, container_ids, job)
    if not commands:
        return
    script = "\n".join(f"{shlex.join(command)} </dev/null || failed=1" for command in commands)
    try:
        result = machine.link.run(f"{script}\nexit ${{failed:-0}}\n", _PATIENCE_S)
    except NodeError as error:
        _remark(job, machine, error.what)
        return
    if result.exit_code != 0:
        said = result.output.strip().splitlines()
        _remark(job, machine, said[-1] if said else f"{commands[0][0]} failed and said nothing")


def _commands(machine: Machine, container_ids: Iterable[str], job: Job) -> Sequence[tuple[str, ...]]:
    known = attach_command(job.system, job.job_id, 0)
    if known is None or not attaches(machine, job):
        return ()
    program = dict(machine.attachers)[known[0]]
    commands = []
    for container_id in container_ids:
        try:
            pid = machine.engine.state(container_id).pid
        except NodeError:
            continue  # whoever watches it will tell
        command = attach_command(job.system, job.job_id, pid, program)
        if pid > 0 and command is not None:  # it may have ended already
            commands.append(command)
    return commands


def _remark(job: Job, machine: Machine, why: str) -> None:
    job.remark(f"{machine.name}: not all containers there are attached to the job: {why}")
