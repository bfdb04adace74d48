"""From a Dockerfile and the files around it to what rules look at."""

from __future__ import annotations

import fnmatch
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from dgrid.images.build import needing_buildkit
from dgrid.images.commands import command_line, entry_names, gives_way, sshd_starts
from dgrid.images.context import Context, context_files
from dgrid.images.dockerfile import Dockerfile, Instruction, Stage, expand, unquote, variables_before
from dgrid.images.identity import identity_arguments
from dgrid.images.view import SEARCH_PATH, FileFacts, Need, Said, View
from dgrid.plan.allocation import Submitter
from dgrid.record import record

_LARGEST_TEXT_BYTES = 1 << 16


@record
class _Copied:
    """A file of the context at ``path`` in the image. ``mode`` and ``uid`` are None where a flag or a RUN sets them."""

    path: str
    source: Path
    mode: int | None
    uid: int | None


def view_of_dockerfile(
    dockerfile: Dockerfile,
    context: Context,
    submitter: Submitter,
    given: Mapping[str, str],
    node_architecture: str | None = None,
) -> View:
    """What the Dockerfile would make if ``submitter`` built it with the build arguments ``given``.

    Files of the context that it copies count as files of the image. What base images bring is not known.
    """
    reader = _Reader(dockerfile, {**given, **identity_arguments(dockerfile, submitter, given)})
    entry = reader.entry()
    view = View(
        name=dockerfile.file,
        submitter=submitter,
        user=reader.user(),
        volumes=tuple(reader.lists("VOLUME")),
        ports=tuple(reader.lists("EXPOSE")),
        entry=entry[0],
        entry_place=entry[1],
        bases=tuple(reader.bases()),
        architecture=reader.architecture(),
        node_architecture=node_architecture,
        runs=tuple(reader.said(one, "\n".join((one.text, *one.heredocs))) for one in reader.all_of("RUN")),
        buildkit=tuple(Said(problem.what, reader.place(problem.line or 0)) for problem in needing_buildkit(dockerfile)),
    )
    return replace(view, files=_files(view, tuple(reader.copied(context))))


class _Reader:
    """The instructions that make the image, in order: those of the last stage and of the stages it is made from."""

    def __init__(self, dockerfile: Dockerfile, given: Mapping[str, str]) -> None:
        self._dockerfile = dockerfile
        self._given = given
        self._steps = [(stage, one) for stage in dockerfile.lineage() for one in stage.instructions]

    def place(self, line: int) -> str:
        return f"{self._dockerfile.file}:{line}"

    def said(self, one: Instruction, value: str) -> Said:
        return Said(value, self.place(one.line))

    def all_of(self, keyword: str) -> Iterator[Instruction]:
        return (one for _, one in self._steps if one.keyword == keyword)

    def user(self) -> Said | None:
        found = [(stage, one) for stage, one in self._steps if one.keyword == "USER"]
        if not found:
            return None
        stage, one = found[-1]
        return self.said(one, self._expand(stage, one, one.text))

    def lists(self, keyword: str) -> Iterator[Said]:
        """Each word of VOLUME or EXPOSE, from all of them."""
        for stage, one in self._steps:
            if one.keyword == keyword:
                words = one.words or tuple(map(unquote, one.text.split()))
                yield from (self.said(one, self._expand(stage, one, word)) for word in words)

    def entry(self) -> tuple[tuple[str, ...], str]:
        """Entrypoint and command as one argv, and where the first of them is said."""
        argv: dict[str, tuple[str, ...]] = {}
        places: dict[str, str] = {}
        shell: tuple[str, ...] = ("/bin/sh", "-c")
        for _, one in self._steps:
            if one.keyword == "SHELL" and one.words:
                shell = one.words
            if one.keyword in ("ENTRYPOINT", "CMD"):
                argv[one.keyword] = (*shell, one.text) if one.words is None else one.words
                places[one.keyword] = self.place(one.line)
        entrypoint = argv.get("ENTRYPOINT", ())
        # An entrypoint in shell form takes no command.
        command = () if entrypoint[:2] == shell else argv.get("CMD", ())
        return (*entrypoint, *command), places.get("ENTRYPOINT", places.get("CMD", self._dockerfile.file))

    def bases(self) -> Iterator[Said]:
        names = {stage.name.lower() for stage in self._dockerfile.stages if stage.name}
        for stage in self._dockerfile.stages:
            base = expand(stage.base, variables_before(self._dockerfile, stage, stage.start.line, self._given))
            if base and base.lower() not in names and base != "scratch":
                yield self.said(stage.start, base)

    def architecture(self) -> Said | None:
        start = self._dockerfile.lineage()[0].start
        parts = (start.flag("platform") or "").split("/")
        return self.said(start, parts[1]) if len(parts) > 1 and "$" not in parts[1] else None

    def copied(self, context: Context) -> Iterator[_Copied]:
        """Later ones count more; so they come first."""
        files = context_files(context)
        directory, found = "/", list[_Copied]()
        for index, (stage, one) in enumerate(self._steps):
            if one.keyword == "WORKDIR":
                directory = str(PurePosixPath(directory, self._expand(stage, one, unquote(one.text))))
            if one.keyword in ("COPY", "ADD") and one.flag("from") is None and not one.heredocs:
                words = [self._expand(stage, one, word) for word in one.words or tuple(map(unquote, one.text.split()))]
                changed = "\n".join(step.text for _, step in self._steps[index:] if step.keyword == "RUN")
                for name, path in _targets(words, directory, files):
                    found.append(self._copy(one, context.directory / name, path, changed))
        return iter(found[::-1])

    def _copy(self, one: Instruction, source: Path, path: str, later: str) -> _Copied:
        whole = path in later or any(f"{parent}/" in later for parent in PurePosixPath(path).parents if parent.name)
        fixed = "chmod" in later and (whole or PurePosixPath(path).name in later)
        given = one.flag("chmod")
        mode = None if fixed else stat.S_IMODE(source.stat().st_mode)
        if given is not None:
            mode = int(given, 8) if re.fullmatch(r"[0-7]+", given) else None
        return _Copied(path, source, mode, None if one.flag("chown") or "chown" in later else 0)

    def _expand(self, stage: Stage, one: Instruction, text: str) -> str:
        """With its variables; as it is where one of them is unknown here."""
        return expand(text, variables_before(self._dockerfile, stage, one.line, self._given)) or text


def _targets(words: list[str], directory: str, files: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(path in the context, path in the image) of each file that a COPY with these words copies."""
    *sources, target = words
    for source in sources:
        pattern = str(PurePosixPath(source.lstrip("/")))
        for name in files:
            base = _copied_from(pattern, name)
            if base is None:
                continue
            into = target.endswith("/") or target in (".", "..") or len(sources) > 1 or base != name
            inner = str(PurePosixPath(name).relative_to(base)) if base != name else PurePosixPath(name).name
            yield name, str(PurePosixPath(directory, target, inner) if into else PurePosixPath(directory, target))


def _copied_from(pattern: str, name: str) -> str | None:
    """The part of ``name`` that the pattern stands for: all of it for a file, a leading directory, None for neither."""
    if pattern == ".":
        return "."
    parts = PurePosixPath(name).parts
    depth = len(PurePosixPath(pattern).parts)
    head = str(PurePosixPath(*parts[:depth]))
    return head if len(parts) >= depth and fnmatch.fnmatchcase(head, pattern) else None


def _files(view: View, copied: tuple[_Copied, ...]) -> tuple[FileFacts, ...]:
    """Facts of the entry command's files, as far as they come from the context."""
    known: dict[str, FileFacts] = {}
    names = list(entry_names(view.entry))
    for name, need in names:
        facts = _facts(name, need, copied)
        if facts is None or name in known:
            continue
        known[name] = facts
        if facts.text is None:
            continue
        if gives_way(facts.text):
            names += entry_names(view.entry[1:])
        names += [(file, Need.SETTINGS) for _, file, _ in sshd_starts(facts.text)]
    for _, file, _ in sshd_starts(command_line(view.entry)):
        settings = _facts(file, Need.SETTINGS, copied)
        known |= {settings.name: settings} if settings else {}
    return tuple(known.values())


def _facts(name: str, need: Need, copied: tuple[_Copied, ...]) -> FileFacts | None:
    paths = [name] if "/" in name else [f"{directory}/{name}" for directory in SEARCH_PATH.split(":")]
    found = next((one for one in copied if one.path in paths and one.source.is_file()), None)
    if found is None:
        return None
    text = found.source.read_bytes()[:_LARGEST_TEXT_BYTES].decode("utf-8", "replace")
    is_text = text.startswith("#!") or need in (Need.READ, Need.SETTINGS)
    return FileFacts(
        name, need, str(found.source), uid=found.uid, gid=0, mode=found.mode, text=text if is_text else None
    )
