"""Bringing an image of this machine's engine into the engine of each node of a lab."""

from __future__ import annotations

import contextlib

from dgrid.errors import LabError
from dgrid.lab.execute import Command, Execution, Output, finish, start, user_environment
from dgrid.lab.find import Lab
from dgrid.lab.machine import Machine
from dgrid.lab.parallel import in_parallel
from dgrid.lab.shape import FRONT, NodeEngine

_CHUNK = 1 << 20
_SAVE_TIMEOUT_S = 600


def load(machine: Machine, lab: Lab, images: tuple[str, ...]) -> None:
    """``docker save`` here and ``load`` on all nodes at once, which keeps the image id the same on all of them.

    On a Podman lab it goes into the ordinary user's own storage. Raises LabError for an image this machine
    does not have, and with the words of each engine that refused.
    """
    _check_images(machine, images)
    for image in images:
        _load(machine, lab, image)


def _load(machine: Machine, lab: Lab, image: str) -> None:
    nodes = tuple(host for host in lab.hosts if host.host != FRONT)
    command = _command(lab)
    executions = in_parallel(lambda node: start(machine, node.container_id, command), nodes)
    # One read of the image for all nodes; the slowest node sets the pace.
    for chunk in machine.client(_SAVE_TIMEOUT_S).get_image(image, chunk_size=_CHUNK):
        for execution in executions:
            _send(execution, chunk)
    for execution in executions:
        execution.end_input()
    outputs = in_parallel(finish, tuple(executions))
    failures = [
        f"  {node.host}: {_words(done)}" for node, done in zip(nodes, outputs, strict=True) if done.returncode != 0
    ]
    if failures:
        raise LabError("\n".join([f"loading {image} failed:", *failures]))


def _check_images(machine: Machine, images: tuple[str, ...]) -> None:
    import docker.errors

    client = machine.client()
    for image in images:
        try:
            client.inspect_image(image)  # type: ignore[no-untyped-call]  # untyped in the stubs
        except docker.errors.ImageNotFound as error:
            raise LabError(f"this machine's engine has no image {image}; build or pull it here first") from error


def _send(execution: Execution, chunk: bytes) -> None:
    # An engine that refused has ended its command; what it said is in its output, read at the end.
    with contextlib.suppress(OSError):
        execution.send(chunk)


def _command(lab: Lab) -> Command:
    if lab.shape.engine is NodeEngine.DOCKER:
        return Command("root", ("docker", "load", "--quiet"))
    name = lab.shape.users[0].name
    environment = tuple(user_environment(name).items())
    return Command(name, ("podman", "load", "--quiet"), f"/home/{name}", environment)


def _words(done: Output) -> str:
    return done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
