"""What workers wrote, as their engines keep it: read to the end, or followed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dgrid.errors import EngineNotFound, EngineTimeout, NodeError
from dgrid.nodes.fanout import errors_of, fan_out
from dgrid.nodes.look import View
from dgrid.nodes.look_calls import inspect, open_log
from dgrid.nodes.look_kept import Kept
from dgrid.nodes.signals import StopSignals
from dgrid.plan.looking import Listed

_READ_S = 300.0

Take = Callable[[Listed, bool, bytes], None]
"""Takes (container, is stderr, bytes)."""


def read_logs(
    view: View, wanted: tuple[Listed, ...], tail: int | None, take: Take, stop: StopSignals
) -> tuple[NodeError, ...]:
    """Give ``take`` what each of ``wanted`` wrote, from several threads at once; returns what failed."""
    outcomes = fan_out(wanted, lambda one: _read(view, one, tail, take), view.settings.parallel, stop)
    return errors_of(outcomes)


def gather_logs(
    view: View, wanted: tuple[Listed, ...], tail: int | None, stop: StopSignals
) -> tuple[tuple[tuple[str, Kept, Kept], ...], tuple[NodeError, ...]]:
    """(name, stdout, stderr) of each: apart, as an engine keeps no order between the two that could be relied on."""

    def read(one: Listed) -> tuple[str, Kept, Kept]:
        out, err = Kept(), Kept()
        _read(view, one, tail, lambda _one, is_stderr, data: (err if is_stderr else out).add(data))
        return one.name, out, err

    outcomes = fan_out(wanted, read, view.settings.parallel, stop)
    return tuple(outcome.value for outcome in outcomes if outcome.value is not None), errors_of(outcomes)


def follow_logs(
    view: View, wanted: tuple[Listed, ...], tail: int | None, take: Take, stop: StopSignals
) -> tuple[NodeError, ...]:
    """As ``read_logs``, but goes on until all have ended. Each has a thread of its own."""
    outcomes = fan_out(wanted, lambda one: _follow(view, one, tail, take), max(1, len(wanted)), stop)
    return errors_of(outcomes)


def _read(view: View, one: Listed, tail: int | None, take: Take) -> None:
    log = open_log(view.machine(one), one.container_id, tail, follow=False)
    late = threading.Event()

    def cut() -> None:
        late.set()
        log.close()

    timer = threading.Timer(_READ_S, cut)
    timer.daemon = True
    timer.start()
    try:
        for is_stderr, data in log.chunks():
            take(one, is_stderr, data)
    finally:
        timer.cancel()
        log.close()
    if late.is_set():
        raise EngineTimeout(one.node, f"the log of {one.name} did not end within {_READ_S:g} s")


def _follow(view: View, one: Listed, tail: int | None, take: Take) -> None:
    machine = view.machine(one)
    log = open_log(machine, one.container_id, tail, follow=True)
    try:
        for is_stderr, data in log.chunks():
            take(one, is_stderr, data)
    finally:
        log.close()
    # The end of a stream may also be that of its connection.
    try:
        if inspect(machine, one.container_id)["State"]["Running"]:
            raise NodeError(one.node, f"the log of {one.name} broke off, though it runs")
    except EngineNotFound:
        return
