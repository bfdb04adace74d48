"""The order in which workers start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dgrid.errors import PlanError
from dgrid.plan.definition import Container, Definition


def start_order(definition: Definition) -> tuple[tuple[str, ...], ...]:
    """``(("database", "cache"), ("worker",))``: container names in levels; a level starts when all before are ready.

    A worker waits for what it names in ``depends_on`` and for what it links to. A link to the head gives only its
    name: the head starts last, after all levels, and is in none of them. Within a level, names are in definition
    order. Raises PlanError for a worker that depends on the head, and for a cycle, which it prints.
    """
    reasons = list(_after_the_head(definition))
    waits_for = {worker.name: _waits_for(worker, definition.head.name) for worker in definition.workers}
    circle, in_order = _sort(waits_for)
    if circle:
        reasons.append(f"containers wait for each other: {' -> '.join(circle)} — drop one of depends_on or links")
    if reasons:
        raise PlanError("\n".join(reasons))
    level: dict[str, int] = {}
    for name in in_order:
        level[name] = max((level[other] + 1 for other in waits_for[name]), default=0)
    names_at: dict[int, list[str]] = {}
    for name in waits_for:
        names_at.setdefault(level[name], []).append(name)
    return tuple(tuple(names_at[number]) for number in range(len(names_at)))


def _waits_for(worker: Container, head: str) -> tuple[str, ...]:
    named = (*worker.depends_on, *(link.container for link in worker.links))
    return tuple(dict.fromkeys(other for other in named if other != head))


def _after_the_head(definition: Definition) -> Iterator[str]:
    head = definition.head.name
    for worker in definition.workers:
        if head in worker.depends_on:
            yield (
                f'container "{worker.name}" depends on "{head}", the interactive container, which starts last — '
                "drop it from depends_on"
            )


def _sort(waits_for: Mapping[str, tuple[str, ...]]) -> tuple[list[str], list[str]]:
    """The first cycle (empty where there is none), and the names with each after all it waits for.

    Walks without recursion: a chain may be as long as the definition.
    """
    done: dict[str, None] = {}
    for start in waits_for:
        path = {} if start in done else {start: iter(waits_for[start])}
        while path:
            name = next(reversed(path))
            following = next((other for other in path[name] if other not in done), None)
            if following is None:
                done[name] = None
                del path[name]
            elif following in path:
                names = list(path)
                return [*names[names.index(following) :], following], []
            else:
                path[following] = iter(waits_for[following])
    return [], list(done)
