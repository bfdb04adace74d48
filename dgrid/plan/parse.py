"""From the bytes of a definition to a Definition, or to everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from dgrid.errors import DefinitionError, Problem
from dgrid.plan import values
from dgrid.plan.characters import check_all_characters
from dgrid.plan.container import read_container
from dgrid.plan.definition import SSH_PORT, Definition, HostfileFormat, NetworkMode, PullPolicy
from dgrid.plan.findings import EnoughFound, Findings
from dgrid.plan.jsonplaces import Path, find_places, line_and_column
from dgrid.plan.jsontext import Document, NotJson, decode, load
from dgrid.plan.reader import Reader
from dgrid.plan.schema import check_schema
from dgrid.plan.substitution import Replacer, replaced
from dgrid.plan.together import check_together
from dgrid.record import record


def parse_definition(text: bytes, file: str, environment: Mapping[str, str]) -> Definition:
    """The Definition that the bytes of a definition mean.

    ``parse_definition(b'{"containers": [{"name": "head", "image": "a", "interactive": true}]}', "job.json", {})``
    has one container, its head. ``file`` is what messages call the file. ``environment`` is what ``${NAME}`` is
    replaced from; no message shows a value of it, nor one of a container's environment variables.

    Raises DefinitionError with all mistakes of the file, in file order (at most 50 of them). A text that is no JSON
    has but one.
    """
    document = _load(text, file)
    findings = Findings(document)
    with suppress(EnoughFound):
        definition = _check(document, environment, findings)
    if findings:
        raise DefinitionError(findings.problems(file))
    return replace(definition, written=_File(file, document))


@record
class _File:
    """A definition that is right in itself: what a plan finds fault with has its place all the same."""

    name: str
    document: Document

    def problem(self, path: Path, what: str, remedy: str) -> str:
        findings = Findings(self.document)
        findings.add(path, what, remedy)
        return str(findings.problems(self.name)[0])


def _check(document: Document, environment: Mapping[str, str], findings: Findings) -> Definition:
    if document.suspicious:
        _note_repeated_keys_and_odd_numbers(document, findings)
    data = replaced(document.data, Replacer(environment), findings)
    check_all_characters(data, findings)
    check_schema(data, findings)
    return _read(Reader(findings, (), data), data)


def _load(text: bytes, file: str) -> Document:
    decoded = ""
    try:
        decoded = decode(text)
        return load(decoded)
    except NotJson as error:
        line, column = None, None
        if error.offset is not None:
            line, column = line_and_column(decoded or text.decode("utf-8", "replace"), error.offset)
        raise DefinitionError((Problem(file, error.what, error.remedy, line, column),)) from None


def _note_repeated_keys_and_odd_numbers(document: Document, findings: Findings) -> None:
    places = find_places(document.text)
    for path, _, first in places.repeated:
        line, _ = line_and_column(document.text, first)
        what = f"the key is there already, in line {line}, and only the last would count"
        findings.add(path, what, "remove one of the two", at_key=True)
    for path, _ in places.odd_numbers:
        findings.add(path, "this number is too large, too long or not a number at all", "write a plain number")


def _read(reader: Reader, data: object) -> Definition:
    entries = data.get("containers") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not reader.findings.sound(("containers",)):
        entries = []
    hostfile_format = reader.value("hostfile_format", HostfileFormat, HostfileFormat.JSON)
    containers = tuple(
        read_container(Reader(reader.findings, ("containers", index), entry), hostfile_format)
        for index, entry in enumerate(entries)
    )
    if entries:
        check_together(reader.findings, containers)
    return Definition(
        containers,
        hostfile_format,
        reader.value("network", NetworkMode, NetworkMode.AUTO),
        reader.value("name", values.run_name, None),
        reader.value("ssh", values.ssh_port, SSH_PORT),
        reader.value("pull", PullPolicy, PullPolicy.MISSING),
    )
