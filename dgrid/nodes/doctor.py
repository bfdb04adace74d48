"""Examining the nodes of a job, all at once and each as far as it goes: nothing is changed there, nothing is left.

Where rootless Podman has no socket, its service is started for the examination, as it is for a run, and ends with it.
"""

from __future__ import annotations

import time
from dataclasses import replace

from dgrid.config import Settings
from dgrid.errors import LinkError, NodeError
from dgrid.nodes.choose_engine import choose_engine
from dgrid.nodes.doctor_engine import ask_engine
from dgrid.nodes.doctor_login import living_leashes, look_around
from dgrid.nodes.fanout import fan_out
from dgrid.nodes.link import Link, LinkKind
from dgrid.nodes.machine import by_machine
from dgrid.nodes.open_link import LinkOpener
from dgrid.nodes.probe import probe
from dgrid.nodes.signals import StopSignals
from dgrid.plan.allocation import Node
from dgrid.plan.checkup import Examined, Subject

_RESTART_S = 3.0  # a leash that died is there again after two seconds


def examine(subject: Subject, settings: Settings, stop: StopSignals) -> tuple[Examined, ...]:
    """What each machine is like, in the order of the nodes; a node that fails hides no other. Raises Stopped."""
    opener = LinkOpener(LinkKind(settings.link), settings.connect_timeout_s, settings.carrier)
    links: list[Link] = []

    def one(nodes: tuple[Node, ...]) -> Examined:
        return _examine(nodes, subject, settings, opener, links)

    try:
        outcomes = fan_out(by_machine(subject.nodes), one, settings.parallel, stop)
    finally:
        # All are closed by now, unless a signal came: then their threads go on unheeded.
        fan_out(links, lambda link: link.close(), settings.parallel)
    return tuple(outcome.value for outcome in outcomes if outcome.value is not None)


def _examine(
    nodes: tuple[Node, ...], subject: Subject, settings: Settings, opener: LinkOpener, links: list[Link]
) -> Examined:
    """``links`` gets the link as soon as it is open."""
    examined = Examined(nodes, "by ssh")
    try:
        examined = replace(examined, way=opener.way(nodes[0]))
        link = opener.open(nodes[0])
        links.append(link)
        if link.remark:
            examined = replace(examined, way=link.remark.removeprefix("reached "))
    except LinkError as error:
        return replace(examined, unreached=error)
    try:
        examined = replace(examined, login=look_around(link, settings.connect_timeout_s))
        return _ask(link, examined, subject, settings)
    except LinkError as error:
        return replace(examined, unreached=error)
    finally:
        link.close()


def _ask(link: Link, examined: Examined, subject: Subject, settings: Settings) -> Examined:
    """With what the engine says, or why it says nothing. Raises LinkError."""
    timeout_s = settings.call_timeout_s
    try:
        looked = probe(link, (), (), settings.connect_timeout_s)
        attachers = tuple(name for name, _ in looked.attachers)
        examined = replace(examined, cgroups=looked.cgroups, attachers=attachers)
        engine, remark = choose_engine(link, looked, settings.engine, settings.engine_socket, timeout_s)
    except LinkError:
        raise
    except NodeError as error:
        return replace(examined, engine_error=error)
    try:
        found = ask_engine(link, engine, examined.names, subject.submitter.name, _images(subject), timeout_s)
    except LinkError:
        raise
    except NodeError as error:
        return replace(examined, remark=remark, engine_error=error)
    finally:
        engine.close()
    return _without_the_living(link, replace(examined, engine=found, remark=remark), timeout_s)


def _images(subject: Subject) -> tuple[str, ...]:
    containers = subject.definition.containers if subject.definition else ()
    return tuple(dict.fromkeys(container.image for container in containers))


def _without_the_living(link: Link, examined: Examined, timeout_s: float) -> Examined:
    """Only what runs that have ended left counts: those without a leash, even after the time it may take to restart.

    The engine was asked before: a run that has just begun has its leash by now.
    """
    engine = examined.engine
    if engine is None or not engine.leftovers:
        return examined
    live = living_leashes(link, timeout_s)
    if any(left.session not in live for left in engine.leftovers):
        time.sleep(_RESTART_S)
        live |= living_leashes(link, timeout_s)
    left = tuple(one for one in engine.leftovers if one.session not in live)
    return replace(examined, engine=replace(engine, leftovers=left))
