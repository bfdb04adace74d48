"""Reading Dockerfiles: what each instruction is, where it stands, and what is wrong."""

from __future__ import annotations

import pytest

from dgrid.errors import InputError
from dgrid.images.dockerfile import expand, parse_dockerfile, variables_before


def read(text):
    return parse_dockerfile(text, "Dockerfile")


def summary(text):
    return [(one.line, one.keyword, one.text) for one in read(text).instructions]


def problems(text):
    with pytest.raises(InputError) as raised:
        read(text)
    return str(raised.value).splitlines()


def test_instructions_have_their_line_whatever_is_between():
    """Comments and empty lines count as lines; keywords may be small."""
    assert summary("# hello\n\nfrom debian:trixie\n\nUSER\talice\n") == [
        (3, "FROM", "debian:trixie"),
        (5, "USER", "alice"),
    ]


def test_continued_lines_are_one_instruction_at_the_first_of_them():
    """Comments and empty lines inside do not end it."""
    text = "FROM a:1\nRUN one && \\\n# why\n\n    two \\\t\n && three\nCMD x\n"
    assert summary(text)[1:] == [(2, "RUN", "one &&     two  && three"), (7, "CMD", "x")]


def test_two_backslashes_do_not_continue():
    """The first escapes the second."""
    assert summary("FROM a:1\nENV A=b\\\\\nCMD x\n")[1:] == [(2, "ENV", "A=b\\\\"), (3, "CMD", "x")]


def test_the_escape_directive_changes_the_continuation():
    """As Dockerfiles for Windows have it."""
    assert summary("# escape=`\nFROM a:1\nRUN x `\n  c:\\\nCMD y\n")[1:] == [(3, "RUN", "x   c:\\"), (5, "CMD", "y")]


def test_heredocs_are_no_instructions():
    """Their lines belong to the RUN or COPY before; the next instruction has its right line."""
    file = read("FROM a:1\nRUN <<EOF cat <<-'two'\nUSER root\nEOF\n\tFROM x\n\ttwo\nUSER alice\n")
    run, user = file.instructions[1:]
    assert run.heredocs == ("USER root", "FROM x")
    assert (user.line, user.text) == (7, "alice")


def test_a_shift_is_no_heredoc():
    """``$((1<<2))`` and ``<<<`` are the shell's."""
    assert read('FROM a:1\nRUN echo $((1<<2)) && cat <<<"x"\nCMD y\n').instructions[1].heredocs == ()


def test_flags_are_told_from_the_rest():
    """Only at the beginning, and only where there are flags."""
    copy, cmd = read("FROM a:1\nCOPY --from=x --chmod=0755 a --b /\nCMD --not a flag\n").instructions[1:]
    assert (copy.flag("from"), copy.flag("chmod"), copy.text) == ("x", "0755", "a --b /")
    assert cmd.text == "--not a flag"


@pytest.mark.parametrize(
    ("text", "words"),
    [('["a", "b c"]', ("a", "b c")), ("a b", None), ("['a']", None), ('["a", 1]', None), ("[ -e x ] && y", None)],
)
def test_exec_form_is_a_json_list_of_strings(text, words):
    """Everything else is the shell form."""
    assert read(f"FROM a:1\nCMD {text}\n").instructions[1].words == words


def test_stages_know_their_base_and_the_last_one_its_ancestors():
    """What an unrelated stage does is not in the image."""
    file = read("FROM a:1 AS One\nUSER x\nFROM b:1 AS other\nFROM one\nCMD y\n")
    assert [(stage.base, stage.name) for stage in file.stages] == [("a:1", "One"), ("b:1", "other"), ("one", None)]
    assert [stage.start.line for stage in file.lineage()] == [1, 4]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A", "1"),
        ("${A}x", "1x"),
        ("${B:-two}", "two"),
        ("${A:-two}", "1"),
        ("${A:+set}${B:+set}", "set"),
        ("${B:-${A}}", "1"),
        ("$B", None),
    ],
)
def test_variables_are_replaced_as_builders_do_it(text, value):
    """None where a variable without a default has no value."""
    assert expand(text, {"A": "1"}) == value


def test_a_variable_is_what_was_said_before_the_line():
    """Leading ARGs count in a stage only after it names them; given values win over defaults, ENV over ARG."""
    file = read("ARG V=1\nARG W=2\nFROM a:$V\nARG V\nARG X=$V.x\nENV V=env\nUSER $V\n")
    (stage,) = file.stages
    assert variables_before(file, stage, stage.start.line, {"W": "9"}) == {"V": "1", "W": "9"}
    assert variables_before(file, stage, 6, {}) == {"V": "1", "X": "1.x"}
    assert variables_before(file, stage, 7, {"X": "given"}) == {"V": "env", "X": "given"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("FROM a:1\nCOPPY a b\n", "Dockerfile:2: there is no instruction COPPY — did you mean COPY?"),
        (
            "FROM a:1\nRUN a\n  && b\n",
            "Dockerfile:3: there is no instruction && — a line that continues",
        ),
        ("RUN x\nFROM a:1\n", "Dockerfile:1: RUN before the first FROM — begin with FROM"),
        ("# nothing\n", "Dockerfile: there is no FROM — begin with the base image"),
        ("FROM a:1\nRUN <<EOF\nx\n", "Dockerfile:2: the here-document EOF does not end — add a line EOF"),
        ("FROM a:1\nUSER\n", "Dockerfile:2: USER has nothing behind it"),
    ],
)
def test_mistakes_are_told_with_their_line(text, line):
    """And with what to do."""
    assert problems(text)[0].startswith(line)


def test_all_mistakes_are_told_at_once():
    """Not only the first."""
    assert len(problems("FROM a:1\nX\nY z\n")) == 2
