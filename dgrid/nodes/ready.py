"""Waiting until a container is ready: seen from the node, so that its image needs no tools for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from dgrid.errors import EngineError, EngineTimeout, ReadyError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.engine import ContainerState, Engine
from dgrid.nodes.hints import hint
from dgrid.nodes.link import Link
from dgrid.plan.definition import Ready
from dgrid.plan.plan import Instance

_POLL_S = 0.2
_LEARNS_WITHIN_S = 3.0
_TAIL_LINES = 20


def wait_ready(instance: Instance, container_id: str, cluster: Cluster) -> None:
    """Return when the instance is ready. Raises ReadyError when it ends or its time is over first."""
    ready = instance.container.ready
    if ready is None:
        return
    machine = cluster.machine(instance.node)
    deadline = time.monotonic() + ready.timeout_s
    if ready.tcp is not None:
        is_ready = _listens(machine.link, machine.engine.state(container_id), ready.tcp, deadline)
    elif ready.command is not None:
        is_ready = _command_succeeds(machine.engine, container_id, ready.command, instance.request.user, deadline)
    else:
        assert ready.log is not None
        is_ready = _log_says(machine.engine, container_id, ready.log, deadline)
    if not is_ready:
        raise ReadyError(instance.node.name, _why(instance, ready, machine.engine, container_id, deadline))


def _listens(link: Link, state: ContainerState, port: int, deadline: float) -> bool:
    """Whether a socket listens on ``port`` in the container's network, by /proc/PID/net/tcp (proc_pid_net(5)).

    Looking instead of connecting works in every kind of network and leaves no broken connection in a server's log.
    """
    files = f"/proc/{state.pid}/net/tcp /proc/{state.pid}/net/tcp6"
    script = (
        f"i=0; while [ $i -lt 50 ]; do cat {files} 2>/dev/null | grep -q ':{port:04X} [0-9A-F]*:0000 0A' && exit 0; "
        f"[ -d /proc/{state.pid} ] || exit 1; i=$((i+1)); sleep 0.1; done; exit 2"
    )
    while time.monotonic() < deadline:
        code = link.run(script, timeout_s=30).exit_code
        if code != 2:
            return code == 0
    return False


def _command_succeeds(engine: Engine, container_id: str, command: tuple[str, ...], user: str, deadline: float) -> bool:
    while time.monotonic() < deadline:
        try:
            if engine.execute(container_id, command, user, deadline - time.monotonic()) == 0:
                return True
        except EngineTimeout:
            return False
        except EngineError:
            if _settled(engine, container_id, deadline).exit_code is None:
                raise
            return False
        time.sleep(_POLL_S)
    return False


def _log_says(engine: Engine, container_id: str, text: str, deadline: float) -> bool:
    log = engine.follow_log(container_id)
    timer = threading.Timer(deadline - time.monotonic(), log.close)
    timer.daemon = True
    timer.start()
    try:
        return log.text_contains(text)
    finally:
        timer.cancel()
        log.close()


def _settled(engine: Engine, container_id: str, deadline: float) -> ContainerState:
    """How a container is that seems to have ended: the engine learns that a moment after its processes are gone."""
    deadline = min(deadline, time.monotonic() + _LEARNS_WITHIN_S)
    while (state := engine.state(container_id)).exit_code is None and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return state


def _why(instance: Instance, ready: Ready, engine: Engine, container_id: str, deadline: float) -> str:
    state = _settled(engine, container_id, deadline)
    if state.exit_code is not None:
        text = f"{instance.name} ended with exit code {state.exit_code} before it was ready"
        return "; ".join((text, *_last_words(instance, engine, container_id)))
    if time.monotonic() < deadline:
        lost = "its process is not to be seen in /proc there" if ready.tcp is not None else "its log has ended"
        return f"cannot see whether {instance.name} is ready: {lost}, but the engine says that it runs"
    wanted = (
        f"nothing listens on its port {ready.tcp}"
        if ready.tcp is not None
        else f"its ready command {ready.command[0]!r} does not succeed"
        if ready.command is not None
        else f"its log does not say {ready.log!r}"
    )
    return f'{instance.name} is not ready after {ready.timeout_s:g} s: {wanted}; "timeout_s" in "ready" gives more time'


def _last_words(instance: Instance, engine: Engine, container_id: str) -> Iterator[str]:
    """What it wrote last, and what that means where it is one of the usual things."""
    with contextlib.suppress(EngineError):
        tail = engine.tail(container_id, _TAIL_LINES)
        if lines := tail.strip().splitlines():
            yield f"its last line: {lines[-1].strip()}"
        if why := hint(instance.container.image, tail):
            yield why
