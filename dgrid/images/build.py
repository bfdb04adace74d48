"""Building an image for its user, on one machine's engine, with the build's output told as it comes."""

from __future__ import annotations

import re
import shlex
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dgrid.errors import EngineError, ImageError, InputError, LinkError, Problem
from dgrid.images.context import Context, context_stream
from dgrid.images.dockerfile import Dockerfile, Instruction
from dgrid.images.login import logins_told
from dgrid.images.machine import Workshop
from dgrid.images.names import LABEL_USER
from dgrid.nodes.engine_http import our_errors
from dgrid.plan.facts import EngineKind
from dgrid.record import record

QUIET_S = 4 * 3600.0
"""How long a step of a build may say nothing, a compiler for example."""

_LINES_TOLD = 20
_LOOK_S = 30.0
_STEP = re.compile(r"(?:\[\d+/\d+\] )?(?:Step|STEP) (\d+)/(\d+) ?: (.*)")
_BUILDERS_OWN = re.compile(r" ?--->|Removing intermediate container")
_FAILED = re.compile(r"(?:returned a non-zero code:|while running runtime: exit status) (\d+)")  # Docker's, Podman's
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NEW_IN_BUILDKIT = {
    "RUN": ("mount", "network", "security"),
    "COPY": ("chmod", "link", "parents", "exclude"),
    "ADD": ("chmod", "link", "checksum", "keep-git-dir", "exclude"),
}
_DISK_FULL = "no space left on device"

Say = Callable[[str], None]


@record
class BuildOrder:
    """What is to be built. ``arguments`` are all build arguments, the user's own and those filled in.

    ``network`` is the network of RUN steps, None for the engine's default. ``user`` is the name of whom it is for.
    """

    context: Context
    dockerfile: Dockerfile
    name: str
    user: str
    arguments: tuple[tuple[str, str], ...] = ()
    network: str | None = None


def build(order: BuildOrder, workshop: Workshop, say: Say, quiet_s: float = QUIET_S) -> str:
    """Build, and return the image's id; ``say`` gets each piece of output as it comes, line ends included.

    ``quiet_s`` is how long a step may say nothing. Raises InputError for what only BuildKit understands;
    ImageError with the failing step and the last lines of its output; UsageError for a file that cannot be read.
    """
    if workshop.engine.info.kind is EngineKind.DOCKER and (problems := tuple(needing_buildkit(order.dockerfile))):
        raise InputError(problems)
    progress = _Progress(order, workshop.engine.info.kind)
    try:
        with (
            workshop.sdk(quiet_s) as client,
            logins_told(workshop.name),
            our_errors(workshop.name, f"build {order.name}"),
        ):
            for event in client.build(**_parameters(order)):
                progress.take(event, say)
                if progress.error is not None:
                    raise ImageError(workshop.name, progress.failure(_disk_full(workshop, progress.words())))
            return str(client.inspect_image(order.name)["Id"]).removeprefix("sha256:")
    except EngineError as error:
        if _DISK_FULL in error.what.lower():
            raise ImageError(workshop.name, f"{error.what}\n{_disk_full(workshop, error.what)}") from error
        raise


def needing_buildkit(dockerfile: Dockerfile) -> Iterable[Problem]:
    """What the builder behind Docker's API, which is not BuildKit, does not know: one Problem each."""
    for one in dockerfile.instructions:
        flag = next((name for name, _ in one.flags if name in _NEW_IN_BUILDKIT.get(one.keyword, ())), None)
        if flag is not None:
            what, remedy = f"{one.keyword} --{flag} needs BuildKit", _without(flag)
        elif one.heredocs:
            what, remedy = (
                f"a here-document in {one.keyword} needs BuildKit",
                "put its lines into a file, and COPY that",
            )
        else:
            continue
        yield Problem(dockerfile.file, f"{what}, which is not there when an engine builds for dgrid", remedy, one.line)


def _without(flag: str) -> str:
    if flag == "chmod":
        return "set the file's mode with chmod before the build, or in a RUN"
    return f"leave --{flag} out, or build with `docker buildx build` or Podman (--engine podman)"


def _parameters(order: BuildOrder) -> dict[str, Any]:
    return {
        "fileobj": context_stream(order.context),
        "custom_context": True,
        "dockerfile": order.context.name,
        "tag": order.name,
        "buildargs": dict(order.arguments),
        "labels": {LABEL_USER: order.user},
        "network_mode": order.network,
        "rm": True,
        "forcerm": True,
        "decode": True,
    }


class _Progress:
    """Follows a build's events: the step under way, its last lines, and the engine's error."""

    def __init__(self, order: BuildOrder, kind: EngineKind) -> None:
        self._order = order
        self._kind = kind
        self._step: tuple[int, int, str] | None = None
        self._lines: deque[str] = deque(maxlen=_LINES_TOLD)
        self._pulled: dict[str, str] = {}
        self.error: str | None = None

    def take(self, event: Mapping[str, Any], say: Say) -> None:
        if "stream" in event:
            say(event["stream"])
            for line in event["stream"].splitlines():
                self._note(line)
        elif "status" in event:
            self._say_pull(event, say)
        if "error" in event or "errorDetail" in event:
            detail = event.get("errorDetail") or {}
            self.error = str(detail.get("message") or event.get("error") or "the engine gave no reason").strip()

    def failure(self, more: str | None) -> str:
        """Of what happened: which step failed, with which words, and what it had written before."""
        error = str(self.error)
        where = f"at {self._place()}: " if self._step else ""
        lines = [f"building {self._order.name} failed {where}{self._command(error)}{_code(error)}"]
        lines += [f"  | {line}" for line in self._lines]
        return "\n".join([*lines, *([more] if more else [])])

    def words(self) -> str:
        """All that engine and step said last."""
        return "\n".join((*self._lines, str(self.error)))

    def _note(self, line: str) -> None:
        found = _STEP.match(line)
        if found:
            self._step = int(found[1]), int(found[2]), found[3]
            self._lines.clear()
        elif not _BUILDERS_OWN.match(line) and (plain := _COLOURS.sub("", line).rstrip()):
            self._lines.append(plain)

    def _place(self) -> str:
        assert self._step is not None
        number, total, text = self._step
        instructions = self._order.dockerfile.instructions
        if self._kind is EngineKind.DOCKER and number <= len(instructions):
            return f"{self._order.dockerfile.file}:{instructions[number - 1].line}"
        # Podman counts each stage's by themselves.
        lines = [one.line for one in instructions if _plain(one) == "".join(text.split())]
        if len(lines) == 1:
            return f"{self._order.dockerfile.file}:{lines[0]}"
        return f"step {number} of {total} of {self._order.dockerfile.file}"

    def _command(self, error: str) -> str:
        """The step's command where that is what failed; else the engine's own words."""
        return self._step[2] if self._step and _FAILED.search(error) else error

    def _say_pull(self, event: Mapping[str, Any], say: Say) -> None:
        """A line for each layer's states, not one for each percent."""
        layer, status = event.get("id", ""), event["status"]
        if self._pulled.get(layer) != status:
            self._pulled[layer] = status
            say(f"{layer}: {status}\n" if layer else f"{status}\n")


def _plain(one: Instruction) -> str:
    """An instruction without any blank, to be compared with what a builder makes of it."""
    flags = "".join(f"--{name}={value}" for name, value in one.flags)
    return "".join(f"{one.keyword}{flags}{one.text}".split())


def _code(error: str) -> str:
    found = _FAILED.search(error)
    return f" (exit code {found[1]})" if found else ""


def _disk_full(workshop: Workshop, error: str) -> str | None:
    """Where the engine keeps its images and how much room is there, when that is what was missing."""
    if _DISK_FULL not in error.lower():
        return None
    remedy = "remove images you do not need: dgrid image list, dgrid image remove"
    try:
        with workshop.sdk(_LOOK_S) as client, our_errors(workshop.name, "ask for its directory"):
            root = str(client.info()["DockerRootDir"])
        df = workshop.link.run(f"df -Ph {shlex.quote(root)} | tail -n 1", _LOOK_S).output.split()
    except (EngineError, LinkError):
        return f"the disk is full there — {remedy}"
    free = f": {df[3]} of {df[1]} free" if len(df) > 3 else ""
    return f"the disk with {root} is full there{free} — {remedy}"
