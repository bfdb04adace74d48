"""Starting a lab: from nothing to hosts that were all seen to work, or back to nothing."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dgrid.errors import LabError
from dgrid.lab.claim import check_free, give_back, is_anothers, take_name
from dgrid.lab.down import down
from dgrid.lab.execute import Command, capture
from dgrid.lab.find import Lab, LabHost, find_lab
from dgrid.lab.machine import Machine
from dgrid.lab.node_image import ensure_image
from dgrid.lab.parallel import in_parallel
from dgrid.lab.parts import host_config, host_request, object_name, volumes
from dgrid.lab.room import check_room
from dgrid.lab.shape import FRONT, LABEL, Shape
from dgrid.lab.source import source_tar
from dgrid.lab.swarm import join_engines

if TYPE_CHECKING:
    from docker import APIClient

_READY = "/usr/local/lib/dgrid-lab/ready"
_LOG_LINES = 10
_ASK_S = 2
"""An interrupted `up` waits no longer than this for the hosts it has asked."""


def up(
    machine: Machine, shape: Shape, say: Callable[[str], None], build_env: Mapping[str, str], deadline_s: int = 60
) -> Lab:
    """Starts a lab and returns when each of its hosts works; ``say`` hears one line a phase.

    Whatever goes wrong or interrupts it, nothing of the lab is left. Raises LabError when the name is taken, when the
    node image cannot be built, or when a host does not work within ``deadline_s``, with its log's last lines.
    """
    check_free(machine, shape.name)
    check_room(machine, shape)
    tag, claim = ensure_image(machine, shape.batch, say, build_env), uuid.uuid4().hex
    check_free(machine, shape.name)  # an image may take minutes
    try:
        say(f"starting {shape.node_count} nodes and a frontend")
        _create(machine, shape, tag, claim)
        lab = find_lab(machine, shape.name)
        say("waiting until every host works")
        await_ready(machine, lab, deadline_s)
        if shape.swarm:
            say("joining the engines to a swarm")
            join_engines(machine, lab)
    except BaseException:
        _remove(machine, shape.name, claim, say)
        raise
    return lab


def update(machine: Machine, lab: Lab) -> None:
    """Copies the running dgrid into the lab again, in place of what is there."""
    front = lab.host(FRONT).container_id
    capture(machine, front, Command("root", ("rm", "-rf", "/opt/dgrid/lib")))
    _install_dgrid(machine.client(), front)


def _remove(machine: Machine, name: str, claim: str, say: Callable[[str], None]) -> None:
    """Removes the lab, unless the name is that of another start's: everything is found by the name."""
    if is_anothers(machine, name, claim):
        give_back(machine, name, claim)
        return
    say("removing what was started")
    down(machine, name)


def _create(machine: Machine, shape: Shape, tag: str, claim: str) -> None:
    import docker.errors

    client = machine.client()
    try:
        take_name(machine, shape.name, claim)
        for volume in volumes(shape):
            client.create_volume(volume, labels={LABEL: shape.name})
        ids = in_parallel(lambda host: create_host(machine, shape, host, tag), shape.hosts)
        _install_dgrid(client, ids[0])
        in_parallel(lambda container_id: machine.client().start(container_id), tuple(ids))
    except docker.errors.APIError as error:
        raise LabError(f"this machine's engine refused a part of lab {shape.name}: {error.explanation}") from error


def create_host(machine: Machine, shape: Shape, host: str, tag: str) -> str:
    """Creates a host's container, not started; its id."""
    request, network = host_request(shape, host), object_name(shape.name, "net")
    made = machine.client().create_container_from_config(  # type: ignore[no-untyped-call]  # untyped in the stubs
        {
            "Image": tag,
            "Hostname": request.host,
            "ExposedPorts": {f"{port.front}/tcp": {} for port in request.ports},
            "Cmd": list(request.command),
            "Labels": dict(request.labels),
            "HostConfig": host_config(request, network, machine.cgroup_version),
            "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": [request.host]}}},
        },
        name=request.name,
    )
    return str(made["Id"])


def _install_dgrid(client: APIClient, container_id: str) -> None:
    client.put_archive(container_id, "/opt/dgrid", source_tar())


def await_ready(machine: Machine, lab: Lab, deadline_s: int) -> None:
    """Returns when every host of the lab works. Raises LabError naming those that do not within ``deadline_s``."""
    end, given_up = time.monotonic() + deadline_s, threading.Event()
    answers = in_parallel(
        lambda host: _not_ready(machine, host, end, given_up),
        lab.hosts,
        workers=len(lab.hosts),
        broken_off=given_up.set,
    )
    failures = [text for text in answers if text]
    if failures:
        raise LabError("\n".join([f"lab {lab.shape.name} did not start within {deadline_s} s:", *failures]))


def _not_ready(machine: Machine, host: LabHost, end: float, given_up: threading.Event) -> str | None:
    """None once the host works, else what is wrong with it, by name and with its log's last lines."""
    said = "it was not asked"
    while not given_up.is_set():
        client = machine.client()
        state = client.inspect_container(host.container_id)["State"]
        if not state["Running"]:
            said = f"its start script ended with exit code {state['ExitCode']}"
            break
        asked = _ask(machine, host, min(_ASK_S, max(0, int(end - time.monotonic()))))
        if asked is None:
            return None
        said = asked
        if time.monotonic() >= end:
            break
    log = machine.client().logs(host.container_id, tail=_LOG_LINES).decode(errors="replace").splitlines()
    return "\n    ".join([f"{host.host}: {said}", "its log ends with:", *log])


def _ask(machine: Machine, host: LabHost, seconds: int) -> str | None:
    """None if the host works, or does within so many seconds; else what it says is missing."""
    import docker.errors

    try:
        answer = capture(machine, host.container_id, Command("root", (_READY, str(seconds))))
    except docker.errors.APIError as error:
        return f"it could not be asked: {error.explanation}"
    return None if answer.returncode == 0 else (answer.stdout + answer.stderr).decode(errors="replace").strip()
