"""The logs of a lab's hosts: what their start script said, syslog, and those of their services."""

from __future__ import annotations

from dgrid.errors import LabError, UsageError
from dgrid.lab.execute import Command, capture
from dgrid.lab.find import Lab, LabHost
from dgrid.lab.machine import Machine
from dgrid.lab.parallel import in_parallel
from dgrid.record import record

START = "start"
"""The start script's output, which this machine's engine keeps."""

_LIST = (
    ". /etc/dgrid-lab.conf; . /usr/local/lib/dgrid-lab/common.sh; load_batch; "
    "for log in /var/log/syslog /var/log/*.log $(batch_logs); do [ ! -s $log ] || echo $log; done | "
    "grep -vE '/(dpkg|alternatives)\\.log' | sort -u"
)


@record
class LogFile:
    """A log of a host; ``path`` is ``start`` or a file there."""

    host: LabHost
    path: str


def find_logs(machine: Machine, lab: Lab, host: str | None, service: str | None) -> tuple[LogFile, ...]:
    """The logs of a host, or of all; of a service, or all: a service is what its log's path has in it.

    Raises LabError, with the logs there are, when no log is of that service.
    """
    hosts = (lab.host(host),) if host else lab.hosts
    found = [log for logs in in_parallel(lambda one: _logs_of(machine, one), hosts) for log in logs]
    wanted = tuple(log for log in found if service is None or service in log.path)
    if not wanted:
        there = ", ".join(sorted({log.path for log in found}))
        raise LabError(f"no log of lab {lab.shape.name} has {service!r} in its path; there are {there}")
    return wanted


def last_lines(machine: Machine, log: LogFile, number: int) -> bytes:
    """The last lines of a log."""
    if log.path == START:
        return bytes(machine.client().logs(log.host.container_id, tail=number))
    return capture(machine, log.host.container_id, Command("root", ("tail", "-n", str(number), log.path))).stdout


def follow_command(logs: tuple[LogFile, ...], number: int) -> Command:
    """What shows the logs of one host as they grow. Raises UsageError where none of them is a file there."""
    files = tuple(log.path for log in logs if log.path != START)
    if not files:
        raise UsageError(
            f"{START} is no file of {logs[0].host.host}'s, and cannot be followed; "
            "show it without --follow, or follow another log"
        )
    return Command("root", ("tail", "-n", str(number), "-F", *files))


def _logs_of(machine: Machine, host: LabHost) -> list[LogFile]:
    logs = [LogFile(host, START)]
    if host.state == "running":
        done = capture(machine, host.container_id, Command("root", ("bash", "-c", _LIST)))
        logs += [LogFile(host, path) for path in done.stdout.decode().split()]
    return logs
