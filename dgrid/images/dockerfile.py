"""Reading a Dockerfile: its instructions with their lines, stages and variables. Pure.

The grammar is that of https://docs.docker.com/reference/dockerfile/: parser directives, comments, continued lines,
here-documents, flags, and the exec form of commands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from dgrid.errors import InputError, Problem
from dgrid.record import record

_KEYWORDS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_HEREDOC = re.compile(r"""(?:^|\s)\d*<<(-?)(["']?)([A-Za-z_][\w.]*)\2(?=[\s;&|)]|$)""")
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)(?:=(\S*))?(?:\s+|$)")
_FLAGGED = ("ADD", "COPY", "FROM", "HEALTHCHECK", "RUN")


@record
class Instruction:
    """One instruction. ``text`` is what follows keyword and flags, its continued lines joined; ``line`` is its first.

    ``heredocs`` are the bodies of its here-documents.
    """

    keyword: str
    text: str
    line: int
    flags: tuple[tuple[str, str], ...] = ()
    heredocs: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...] | None:
        """The exec form, ``["a", "b"]``; None for the shell form, which it also is when the JSON is wrong."""
        try:
            value = json.loads(self.text) if self.text.startswith("[") else None
        except ValueError:
            return None
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            return None
        return tuple(value)

    def flag(self, name: str) -> str | None:
        """The value of ``--name=value``, None without that flag."""
        return dict(self.flags).get(name)


@record
class Stage:
    """What one FROM begins. ``base`` is as written; ``name`` is None without AS."""

    base: str
    name: str | None
    start: Instruction
    instructions: tuple[Instruction, ...]


@record
class Dockerfile:
    """A whole file. ``instructions`` are all of it, in order; ``leading`` are the ARGs before the first FROM."""

    file: str
    instructions: tuple[Instruction, ...]
    leading: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    def lineage(self) -> tuple[Stage, ...]:
        """The last stage, which becomes the image, after the stages of this file that it is made from."""
        chain = [self.stages[-1]]
        by_name = {stage.name.lower(): stage for stage in self.stages if stage.name}
        while (parent := by_name.get(chain[0].base.lower())) is not None and parent not in chain:
            chain.insert(0, parent)
        return tuple(chain)

    def arguments(self) -> tuple[str, ...]:
        """Names of all ARGs, each once."""
        found = (instruction for instruction in self.instructions if instruction.keyword == "ARG")
        return tuple(dict.fromkeys(name for one in found for name, _ in pairs(one.text)))


def parse_dockerfile(text: str, file: str) -> Dockerfile:
    """``parse_dockerfile("FROM debian:trixie\\n", "Dockerfile").stages[0].base == "debian:trixie"``.

    ``file`` is what messages call it. Raises InputError with every mistake that keeps it from being read.
    """
    problems: list[Problem] = []
    instructions = tuple(_instructions(text.removeprefix("\ufeff").splitlines(), file, problems))
    stages = [index for index, one in enumerate(instructions) if one.keyword == "FROM"]
    first = stages[0] if stages else len(instructions)
    for one in instructions[:first]:
        if one.keyword != "ARG" and not problems:
            problems.append(Problem(file, f"{one.keyword} before the first FROM", "begin with FROM", one.line))
    if not stages and not problems:
        problems.append(
            Problem(file, "there is no FROM", 'begin with the base image, such as "FROM debian:trixie-slim"')
        )
    if problems:
        raise InputError(tuple(problems))
    ends = [*stages[1:], len(instructions)]
    made = tuple(_stage(instructions[start:end]) for start, end in zip(stages, ends, strict=True))
    return Dockerfile(file, instructions, instructions[:first], made)


def pairs(text: str) -> Iterator[tuple[str, str | None]]:
    """``list(pairs('A=1 B="x y" C')) == [("A", "1"), ("B", "x y"), ("C", None)]``: what ARG, ENV and LABEL set."""
    for word in re.findall(r"""(?:[^\s"']|"(?:\\.|[^"])*"|'[^']*')+""", text):
        name, equals, value = word.partition("=")
        yield unquote(name), unquote(value) if equals else None


def unquote(text: str) -> str:
    """``unquote('"x y"') == "x y"``: a word of an instruction without its quotes."""
    return re.sub(r"""\\(["'\\ $])|["']""", lambda found: found.group(1) or "", text)


def expand(text: str, variables: Mapping[str, str]) -> str | None:
    """``expand("${A:-x}/$B", {"B": "y"}) == "x/y"``; None where a variable without a default has no value."""
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        name, operator, other = found["braced"] or found["plain"], found["operator"], found["other"] or ""
        known = variables.get(name)
        if operator and bool(known) == (operator == "+"):
            known = expand(other, variables)
        elif operator == "+":
            known = ""
        missing |= known is None
        return known or ""

    result = re.sub(
        r"\$(?:\{(?P<braced>\w+)(?::(?P<operator>[+-])(?P<other>(?:[^{}]|\$\{[^}]*\})*))?\}|(?P<plain>\w+))",
        value,
        text,
    )
    return None if missing else result


def variables_before(dockerfile: Dockerfile, stage: Stage, line: int, given: Mapping[str, str]) -> dict[str, str]:
    """What ``$NAME`` stands for at a line of a stage; ``given`` are build arguments, which win over ARG's defaults."""
    leading = _set_by(dockerfile.leading, {}, given)
    if line <= stage.start.line:
        return leading
    return _set_by((one for one in stage.instructions if one.line < line), leading, given, inherited=leading)


def _set_by(
    instructions: Iterator[Instruction] | tuple[Instruction, ...],
    known: Mapping[str, str],
    given: Mapping[str, str],
    inherited: Mapping[str, str] | None = None,
) -> dict[str, str]:
    values: dict[str, str] = {} if inherited is not None else dict(known)
    for one in instructions:
        if one.keyword == "ARG":
            for name, default in pairs(one.text):
                value = given.get(name, default if default is not None else (inherited or {}).get(name))
                if value is not None:
                    values[name] = expand(value, values) or value
        elif one.keyword == "ENV":
            values |= {name: expand(value, values) or value for name, value in environment(one)}
    return values


def environment(one: Instruction) -> tuple[tuple[str, str], ...]:
    """What an ENV sets: ``A=1 B=2``, or the old form ``A 1``."""
    name, _, rest = one.text.partition(" ")
    if "=" not in name:
        return ((name, rest.strip()),)
    return tuple((name, value or "") for name, value in pairs(one.text))


def _stage(instructions: tuple[Instruction, ...]) -> Stage:
    start, *rest = instructions
    words = start.text.split()
    name = words[2] if len(words) == 3 and words[1].upper() == "AS" else None
    return Stage(words[0] if words else "", name, start, tuple(rest))


def _instructions(lines: list[str], file: str, problems: list[Problem]) -> Iterator[Instruction]:
    escape, index = _escape_character(lines), 0
    while index < len(lines):
        start = index
        text, index = _logical_line(lines, index, escape)
        if not text.strip():
            continue
        keyword, _, rest = text.strip().partition(" ")
        keyword, _, tabbed = keyword.partition("\t")
        keyword, rest = keyword.upper(), f"{tabbed} {rest}".strip()
        bodies: list[str] = []
        for dash, _quote, word in _HEREDOC.findall(rest) if keyword in ("RUN", "COPY", "ADD") else ():
            body, index = _heredoc(lines, index, word, bool(dash))
            if body is None:
                problems.append(
                    Problem(file, f"the here-document {word} does not end", f"add a line {word}", start + 1)
                )
            bodies.append(body or "")
        if keyword not in _KEYWORDS:
            problems.append(_unknown(file, keyword, start + 1))
        flags, rest = _flags(rest) if keyword in _FLAGGED else ((), rest)
        if not rest and keyword in _KEYWORDS:
            problems.append(Problem(file, f"{keyword} has nothing behind it", None, start + 1))
        yield Instruction(keyword, rest, start + 1, flags, tuple(bodies))


def _escape_character(lines: list[str]) -> str:
    """Directives are comments at the very top: ``# escape=` ``."""
    for line in lines:
        found = _DIRECTIVE.fullmatch(line.strip())
        if found is None:
            break
        if found[1].lower() == "escape" and found[2] in ("\\", "`"):
            return found[2]
    return "\\"


def _logical_line(lines: list[str], index: int, escape: str) -> tuple[str, int]:
    """The instruction that begins at ``index``, its lines joined, and the index behind it. Comments between vanish."""
    parts: list[str] = []
    while index < len(lines):
        line = lines[index]
        index += 1
        if line.lstrip().startswith("#") or (parts and not line.strip()):
            if not parts:
                return "", index
            continue
        stripped = line.rstrip()
        if not stripped.endswith(escape) or stripped.endswith(escape * 2):
            parts.append(line)
            break
        parts.append(stripped[:-1])
    return "".join(parts), index


def _heredoc(lines: list[str], index: int, word: str, strip_tabs: bool) -> tuple[str | None, int]:
    body: list[str] = []
    while index < len(lines):
        line = lines[index].lstrip("\t") if strip_tabs else lines[index]
        index += 1
        if line == word:
            return "\n".join(body), index
        body.append(line)
    return None, index


def _flags(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    flags: list[tuple[str, str]] = []
    while found := _FLAG.match(text):
        flags.append((found[1], found[2] or ""))
        text = text[found.end() :]
    return tuple(flags), text


def _unknown(file: str, keyword: str, line: int) -> Problem:
    import difflib

    near = difflib.get_close_matches(keyword, _KEYWORDS, 1)
    shown = keyword[:40].encode("unicode_escape").decode()
    remedy = f"did you mean {near[0]}?" if near else "a line that continues the one before needs a \\ at that one's end"
    return Problem(file, f"there is no instruction {shown}", remedy, line)
