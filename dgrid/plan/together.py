"""What holds between the containers of a definition: one head, different names, links to somebody, no cycles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from dgrid.plan.definition import Container
from dgrid.plan.findings import Findings
from dgrid.plan.jsonplaces import Path
from dgrid.plan.keys import nearest
from dgrid.plan.mistake import Mistake
from dgrid.record import record

_NUMBERED = re.compile(r"(.+)-([1-9][0-9]*)")
_LONGEST_HOST_NAME = 63
_LONGEST_CYCLE = 12


@record
class _Need:
    """``container`` needs ``other`` because of the entry at ``path``."""

    container: int
    other: int
    path: Path


def check_together(findings: Findings, containers: Sequence[Container]) -> None:
    """Note what is wrong between ``containers``; those with broken names are left out where names matter."""
    _check_heads(findings, containers)
    _check_names(findings, containers)
    by_name: dict[str, int] = {}
    for index, container in enumerate(containers):
        if container.name:
            by_name.setdefault(container.name, index)
    needs = [*_links(findings, containers, by_name), *_dependencies(findings, containers, by_name)]
    _check_cycles(findings, needs)


def _at(index: int, *keys: str | int) -> Path:
    return ("containers", index, *keys)


def _check_heads(findings: Findings, containers: Sequence[Container]) -> None:
    if not all(findings.whole(_at(index, "interactive")) for index in range(len(containers))):
        return
    heads = [index for index, container in enumerate(containers) if container.interactive]
    if not heads:
        remedy = 'add "interactive": true to the one whose exit code is the run\'s'
        findings.add(("containers",), "no container is interactive", remedy, breaks=("containers", "interactive"))
    for index in heads[1:]:
        first = f"containers[{heads[0]}]"
        what = f"a second interactive container, after {first}"
        findings.add(_at(index, "interactive"), what, "exactly one is; remove it from all others")


def _check_names(findings: Findings, containers: Sequence[Container]) -> None:
    by_name: dict[str, int] = {}  # in small letters, since host names do not tell them from capitals
    for index, container in enumerate(containers):
        path = _at(index, "name")
        if not findings.whole(path):
            continue
        first = by_name.setdefault(container.name.lower(), index)
        if first != index:
            shown = findings.shown(path)
            what = f"{shown} is the name of containers[{first}] already"
            findings.add(path, what, "choose another; capital letters make no difference")
    for index in range(len(containers)):
        if findings.whole(_at(index, "name")) and findings.whole(_at(index, "scale")):
            with findings.gather(_at(index, "name")):
                _refuse_numbered(containers, index, by_name)


def _refuse_numbered(containers: Sequence[Container], index: int, by_name: dict[str, int]) -> None:
    container = containers[index]
    longest = f"{container.name}-{container.scale}" if isinstance(container.scale, int) else container.name
    if container.scaled and len(longest) > _LONGEST_HOST_NAME:
        what = f"with the numbers of its instances the name is longer than {_LONGEST_HOST_NAME} characters"
        raise Mistake(what, "choose a shorter one")
    match = _NUMBERED.fullmatch(container.name.lower())
    other = containers[by_name[match[1]]] if match and match[1] in by_name else None
    if match and other and other.scaled and (not isinstance(other.scale, int) or int(match[2]) <= other.scale):
        number = by_name[match[1]]
        raise Mistake(f"{{}} is the name of an instance of containers[{number}] too", "choose another", container.name)


def _links(findings: Findings, containers: Sequence[Container], by_name: dict[str, int]) -> Iterator[_Need]:
    for path, index, name in _entries(findings, containers, "links"):
        other = _other(findings, path, index, name, by_name)
        if other is None or not findings.whole(_at(other, "scale")):
            continue
        if containers[other].scaled:
            what = f"containers[{other}] is scaled, and a link is one host's name"
            findings.add(path, what, "use host_to_list and the hostfile for scaled containers")
            continue
        if not containers[other].interactive:  # a link to the head gives its name, which is known before it starts
            yield _Need(index, other, path)


def _dependencies(findings: Findings, containers: Sequence[Container], by_name: dict[str, int]) -> Iterator[_Need]:
    for path, index, name in _entries(findings, containers, "depends_on"):
        other = _other(findings, path, index, name, by_name)
        if other is None:
            continue
        if containers[other].interactive:
            what = "the interactive container starts last, when all others are ready"
            findings.add(path, what, "leave it out; nothing can wait for it")
            continue
        yield _Need(index, other, path)


def _entries(findings: Findings, containers: Sequence[Container], key: str) -> Iterator[tuple[Path, int, str]]:
    """Path, container's index and the name meant, for the sound entries of ``key`` of all containers."""
    for index, container in enumerate(containers):
        written = findings.written(_at(index, key))
        names = [link.container for link in container.links] if key == "links" else list(container.depends_on)
        count = len(written) if isinstance(written, list) else 0
        paths = [_at(index, key, position) for position in range(count)]
        # Broken entries are not in the container, so the sound ones and the names stand in the same order.
        sound = [path for path in paths if findings.whole(path)]
        if len(sound) == len(names):
            yield from ((path, index, name) for path, name in zip(sound, names, strict=True))


def _other(findings: Findings, path: Path, index: int, name: str, by_name: dict[str, int]) -> int | None:
    other = by_name.get(name)
    if other == index:
        findings.add(path, "the container names itself", "remove it")
        return None
    if other is None:
        near = nearest(name, by_name)
        remedy = f"did you mean {findings.shown(_at(by_name[near], 'name'))}?" if near else _names(findings, by_name)
        with findings.gather(path):
            raise Mistake("there is no container {}", remedy, name)
    return other


def _names(findings: Findings, by_name: dict[str, int]) -> str | None:
    if not by_name or len(by_name) > 8:
        return None
    return "there are " + ", ".join(findings.shown(_at(index, "name")) for index in by_name.values())


def _check_cycles(findings: Findings, needs: Iterable[_Need]) -> None:
    graph: dict[int, dict[int, Path]] = {}
    for need in needs:
        graph.setdefault(need.container, {}).setdefault(need.other, need.path)
    while True:
        try:
            TopologicalSorter({index: list(others) for index, others in graph.items()}).prepare()
            return
        except CycleError as error:
            # Each of the cycle needs the one before it; the last is the first again.
            cycle = list(reversed(error.args[1]))[:-1]
        start = cycle.index(min(cycle))
        cycle = [*cycle[start:], *cycle[:start]]
        names = [findings.shown(_at(index, "name")) for index in [*cycle, cycle[0]]]
        if len(names) > _LONGEST_CYCLE:
            names = [*names[: _LONGEST_CYCLE - 2], "...", names[-1]]
        what = f"these containers wait for each other: {' -> '.join(names)}"
        findings.add(graph[cycle[0]][cycle[1]], what, "remove one of these links or dependencies")
        for index in cycle:
            graph.pop(index)
