"""Names and labels: how instances, networks and hosts of a run are called, inside it and on the engines."""

from __future__ import annotations

from collections.abc import Iterable

from dgrid.plan.definition import Container

LABEL_SESSION = "io.dgrid.session"
LABEL_JOB = "io.dgrid.job"
LABEL_USER = "io.dgrid.user"
LABEL_CONTAINER = "io.dgrid.container"
LABEL_INDEX = "io.dgrid.index"
LABEL_NODE = "io.dgrid.node"
LABEL_NODES = "io.dgrid.nodes"
LABEL_ROLE = "io.dgrid.role"

LEASH_WORD = "dgrid-leash"
"""Stands before the session id among the arguments of the leash, the process of a run on each of its machines."""

_LONGEST_LABEL = 63  # RFC 1035, section 2.3.4


def instance_name(container: Container, index: int) -> str:
    """``worker-2`` for the second instance of a scaled container, ``database`` where there is but one."""
    return f"{container.name}-{index}" if container.scaled else container.name


def name_patterns(container: Container) -> tuple[str, ...]:
    """Patterns, as ssh_config(5) has them, for the names of all instances: ``("worker", "worker-*")``."""
    return (container.name, f"{container.name}-*") if container.scaled else (container.name,)


def engine_name(name: str, session: str) -> str:
    """``worker-2-k3x9``: what the engine calls an instance. It ends in the session id, so two runs never collide."""
    return f"{name}-{session}"


def network_name(session: str) -> str:
    """``dgrid-k3x9``: what the engine calls the network of a run."""
    return f"dgrid-{session}"


def labels(
    session: str,
    job: str | None,
    user: str,
    container: str = "",
    index: str = "",
    node: str = "",
    nodes: str = "",
    role: str = "",
) -> tuple[tuple[str, str], ...]:
    """All labels, always: a container inherits its image's labels, so one left out could be somebody else's.

    ``job`` None (outside a job) is the empty string, as are container, index, nodes and role of a network. ``nodes``
    are those of the whole run, folded; ``role`` is "head" or "worker".
    """
    return (
        (LABEL_SESSION, session),
        (LABEL_JOB, job or ""),
        (LABEL_USER, user),
        (LABEL_CONTAINER, container),
        (LABEL_INDEX, index),
        (LABEL_NODE, node),
        (LABEL_NODES, nodes),
        (LABEL_ROLE, role),
    )


def check_names(instances: Iterable[tuple[Container, str]]) -> tuple[str, ...]:
    """Reasons why these (container, instance name) pairs cannot all be host names of one run; none is good.

    Host names do not tell capitals from small letters. A scaled container takes its own name too, as the name of
    all its instances.
    """
    owners: dict[str, str] = {}
    reasons: dict[str, None] = {}
    for container, name in instances:
        if len(name) > _LONGEST_LABEL:
            reasons[_too_long(container)] = None
        for taken in {name, container.name}:
            owner = owners.setdefault(taken.lower(), container.name)
            if owner != container.name:
                reasons[_clash(owner, container.name, taken)] = None
    return tuple(reasons)


def _too_long(container: Container) -> str:
    return (
        f'container "{container.name}": with the numbers of its instances the name is longer than the '
        f"{_LONGEST_LABEL} characters a host name may have — choose a shorter name"
    )


def _clash(first: str, second: str, name: str) -> str:
    return (
        f'containers "{first}" and "{second}": both would have the host name "{name}" — rename one of them '
        "(instances of a scaled container are called NAME-1, NAME-2, ...)"
    )
