"""From an engine's word on an image to what rules look at; with its files, where there is a container to look into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from dgrid.images.commands import command_line, entry_names, gives_way, interpreter, sshd_starts
from dgrid.images.view import SEARCH_PATH, FileFacts, Kind, Need, Said, View
from dgrid.plan.allocation import Submitter


class Files(Protocol):
    """The file system of an image."""

    def facts(self, name: str, path: str, need: Need) -> FileFacts:
        """What is at ``path``, which messages call ``name``; Kind.MISSING if there is nothing."""


def view_of_image(
    reference: str,
    found: Mapping[str, Any],
    submitter: Submitter,
    node_architecture: str | None = None,
    overridden: tuple[str, ...] | None = None,
) -> View:
    """The image as its configuration says; ``found`` is what the engine answers to "inspect".

    ``overridden`` is the argv that a definition gives in place of the image's own. No files: see ``with_files``.
    """
    config = found.get("Config") or {}
    own = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
    architecture = found.get("Architecture")
    return View(
        name=reference,
        submitter=submitter,
        user=Said(config.get("User") or "", reference),
        volumes=tuple(Said(path, reference) for path in sorted(config.get("Volumes") or ())),
        ports=tuple(Said(port, reference) for port in sorted(config.get("ExposedPorts") or ())),
        entry=own if overridden is None else overridden,
        entry_place=reference,
        bases=(Said(reference, reference),),
        architecture=Said(architecture, reference) if architecture else None,
        node_architecture=node_architecture,
        volumes_open=True,
    )


def with_files(view: View, config: Mapping[str, Any], files: Files, volumes: bool) -> View:
    """The view with facts of the entry command's files and, with ``volumes``, of the volumes' directories."""
    environment = dict(pair.partition("=")[::2] for pair in config.get("Env") or ())
    search = (environment.get("PATH") or SEARCH_PATH).split(":")
    work_dir = str(config.get("WorkingDir") or "/")
    known: dict[str, FileFacts] = {}
    names = list(entry_names(view.entry))
    for name, need in names:
        if name not in known:
            known[name] = facts = _find(files, name, need, search, work_dir)
            names += _named_in(facts, view.entry)
    for _, settings, _ in sshd_starts(command_line(view.entry)):
        known[settings] = files.facts(settings, settings, Need.SETTINGS)
    written = [files.facts(one.value, one.value, Need.WRITE) for one in view.volumes] if volumes else []
    return replace(view, files=(*known.values(), *written), volumes_open=not volumes)


def _named_in(facts: FileFacts, entry: tuple[str, ...]) -> list[tuple[str, Need]]:
    """Files that a script needs: its interpreter, what it gives way to, the settings of an sshd that it starts."""
    if facts.text is None:
        return []
    names = list(entry_names(interpreter(facts.text)))
    if gives_way(facts.text) and facts.name in entry:
        names += entry_names(entry[entry.index(facts.name) + 1 :])
    return [*names, *((file, Need.SETTINGS) for _, file, _ in sshd_starts(facts.text) if file.startswith("/"))]


def _find(files: Files, name: str, need: Need, search: list[str], work_dir: str) -> FileFacts:
    """As the kernel and the engine look for a command: a name without a slash along PATH, the first executable one."""
    if "/" in name:
        path = name if name.startswith("/") else f"{work_dir}/{name}"
        return files.facts(name, path, need)
    found = [files.facts(name, f"{directory}/{name}", need) for directory in search if directory.startswith("/")]
    there = [facts for facts in found if facts.kind is Kind.FILE]
    missing = FileFacts(name, need, found[0].place if found else name, Kind.MISSING)
    return next((facts for facts in there if (facts.mode or 0) & 0o111), there[0] if there else missing)
