"""Every error dgrid raises on purpose, and the exit code each one ends the program with.

DgridError                    125  dgrid could not start or keep the job (as ``docker run`` does)
├── UsageError                  2  a wrong command line, setting or environment
├── InputError                  2  a file the user wrote is wrong; carries one Problem per mistake
│   ├── DefinitionError              the docker definition
│   └── NodeFileError                the node file
├── PlanError                   2  definition and allocation do not fit together
├── NodeError                 125  something failed on one node; carries the node's name
│   ├── LinkError                    the node cannot be reached
│   │   ├── LinkDropped              a connection broke or was refused under load       (transient)
│   │   ├── HostKeyError             the node's ssh host key is unknown or has changed
│   │   └── LoginError               the node accepts none of the user's keys
│   ├── EngineError                  the container engine refused or failed a call
│   │   ├── EngineUnreachable        no engine answers behind its socket
│   │   ├── EngineTooOld             the engine is older than dgrid supports
│   │   ├── EngineNotFound           the engine knows no such container, image or network
│   │   └── EngineTimeout            the engine did not answer within the deadline      (transient)
│   ├── NodeCheckError               the node does not suit the plan (missing mount, other uid, ...)
│   ├── ImageError                   an image is missing, cannot be pulled, or differs between nodes
│   │   └── RegistryBusy             its registry wants us to come again later          (transient)
│   ├── StartError            125  a container could not be created or started
│   │   │                 126/127    ... when it is the head's command that cannot be run or found
│   │   └── JobCgroupRefused         the engine cannot start it in the job's cgroup
│   └── ReadyError                   a container ended or timed out before it was ready
├── ManyNodesError            125  several of the above, gathered so that no node hides another
├── WorkerFailed              125  a worker whose failure_policy is "fail_run" failed
├── LabError                  125  the cluster of containers on this machine could not do it
├── OutputError               125  dgrid's own stdout cannot be written to (141 when its reader has gone)
└── Stopped                 128+n  signal n ended the run
"""

from __future__ import annotations

import errno

from dgrid.record import record


@record
class Problem:
    """One mistake in a file a user wrote, and what to do about it.

    ``str(Problem("job.json", "no image is given", "add \\"image\\": \\"name:tag\\"", 12, 9, "containers[2]"))``
    is ``job.json:12:9: containers[2]: no image is given — add "image": "name:tag"``.

    ``line`` and ``column`` count from 1; None means the whole file is meant. ``path`` is the key path inside
    the file, None where there is none.
    """

    file: str
    what: str
    remedy: str | None = None
    line: int | None = None
    column: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = f"{place}: {self.path}: {self.what}" if self.path else f"{place}: {self.what}"
        return f"{text} — {self.remedy}" if self.remedy else text


class DgridError(Exception):
    """Root of all errors dgrid raises on purpose.

    ``exit_code`` is what the process ends with; ``transient`` says whether the same call may succeed later.
    """

    exit_code: int = 125
    transient: bool = False


class UsageError(DgridError):
    """A wrong command line, setting or environment."""

    exit_code = 2


class InputError(DgridError):
    """A file the user wrote is wrong; ``problems`` has one entry for each mistake, in file order."""

    exit_code = 2

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class DefinitionError(InputError):
    """The docker definition is wrong."""


class NodeFileError(InputError):
    """The node file is wrong."""


class PlanError(DgridError):
    """The definition and the allocation do not fit together."""

    exit_code = 2


class NodeError(DgridError):
    """Something failed on one node. ``str()`` is ``node07: what happened``; ``what`` is the text alone."""

    def __init__(self, node: str, what: str) -> None:
        super().__init__(f"{node}: {what}")
        self.node = node
        self.what = what


class LinkError(NodeError):
    """The node cannot be reached."""


class LinkDropped(LinkError):
    """A connection broke or was refused under load; the same call may succeed later."""

    transient = True


class HostKeyError(LinkError):
    """The node's ssh host key is unknown or has changed."""


class LoginError(LinkError):
    """The node accepts none of the user's keys."""


class EngineError(NodeError):
    """The container engine refused or failed a call. ``status`` is its HTTP status, None if it gave none."""

    def __init__(self, node: str, what: str, status: int | None = None) -> None:
        super().__init__(node, what)
        self.status = status


class EngineUnreachable(EngineError):
    """No engine answers behind its socket."""


class EngineTooOld(EngineError):
    """The engine is older than dgrid supports."""


class EngineNotFound(EngineError):
    """The engine knows no such container, image or network."""


class EngineTimeout(EngineError):
    """The engine did not answer within the deadline of the call."""

    transient = True


class NodeCheckError(NodeError):
    """The node does not suit the plan: a missing mount, another uid, a taken port."""


class ImageError(NodeError):
    """An image is missing, cannot be pulled, or is another one than on the other nodes."""


class RegistryBusy(ImageError):
    """The image's registry wants us to come again later; ``wait_s`` is how much later, 0 if it does not say."""

    transient = True

    def __init__(self, node: str, what: str, wait_s: float = 0.0) -> None:
        super().__init__(node, what)
        self.wait_s = wait_s


class StartError(NodeError):
    """A container could not be created or started.

    ``exit_code`` is 125; 126 or 127 when it is the head container's command that cannot be run or found.
    """

    def __init__(self, node: str, what: str, exit_code: int = 125) -> None:
        super().__init__(node, what)
        self.exit_code = exit_code


class JobCgroupRefused(StartError):
    """The engine created a container for the job's cgroup, but cannot start it in there."""


class ReadyError(NodeError):
    """A container ended, or its time was over, before it was ready."""


class ManyNodesError(DgridError):
    """Several nodes failed; ``errors`` has each of them, in node order."""

    def __init__(self, errors: tuple[NodeError, ...]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


class WorkerFailed(DgridError):
    """A worker whose ``failure_policy`` is "fail_run" failed."""


class LabError(DgridError):
    """The cluster of containers on this machine could not do what was asked."""


class OutputError(DgridError):
    """dgrid's stdout cannot be written to: the reader has gone (as for SIGPIPE), or the disk is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write the head container's output ({error.strerror})")
        self.reader_gone = error.errno == errno.EPIPE
        self.exit_code = 128 + 13 if self.reader_gone else 125


class Stopped(DgridError):
    """Signal ``signum`` ended the run."""

    def __init__(self, signum: int, name: str) -> None:
        super().__init__(f"ended by {name}")
        self.signum = signum
        self.exit_code = 128 + signum
