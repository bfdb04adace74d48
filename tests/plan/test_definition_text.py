"""Files that are no definition at all: each is refused with its place, its cause and what to do."""

import gzip

import pytest

from dgrid.errors import DefinitionError
from dgrid.plan.parse import parse_definition

GOOD = b'{"containers": [{"name": "head", "image": "a", "interactive": true}]}'


def problem(text: bytes) -> str:
    with pytest.raises(DefinitionError) as caught:
        parse_definition(text, "job.json", {})
    assert caught.value.exit_code == 2
    return str(caught.value)


EMPTY = 'job.json: the file is empty — a definition is an object: {"containers": [...]}'
BINARY = "job.json: the file is binary: it holds NUL bytes — is it the right file?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"", EMPTY, id="empty"),
        pytest.param(b" \n\t", EMPTY, id="blank"),
        pytest.param(b"\xef\xbb\xbf", EMPTY, id="only a mark"),
        pytest.param(
            b" " * (1024 * 1024 + 1), "job.json: the file is larger than 1024 KiB — is it the right file?", id="huge"
        ),
        pytest.param(
            gzip.compress(GOOD), "job.json: the file is gzip data, not text — is it the right file?", id="gzip"
        ),
        pytest.param(
            b"\x7fELF\x02\x01\x01", "job.json: the file is a program, not text — is it the right file?", id="elf"
        ),
        pytest.param(b"\x01\x80\xff\x00\x00\x07{", BINARY, id="binary"),
        pytest.param(b'{"a": "\x00"}', BINARY.replace("json:", "json:1:8:"), id="NUL"),
        pytest.param(
            '{"a": "ü",\n "b": "é"}'.encode("latin-1"),
            "job.json:1:8: the byte 0xFC is not UTF-8 — save the file as UTF-8, as with: "
            "iconv -f ISO-8859-1 -t UTF-8 OLD > NEW",
            id="latin-1",
        ),
    ],
)
def test_what_is_no_text(text, expected):
    """Bytes that cannot be JSON are refused for what they are."""
    assert problem(text) == expected


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-32-be", "UTF-32"),
    ],
)
def test_wide_encodings(encoding, name):
    """UTF-16 and UTF-32 are told with the command that converts them, with their mark or without."""
    assert problem(GOOD.decode().encode(encoding)) == (
        f"job.json: the file is encoded in {name} — save it as UTF-8, as with: iconv -f {name} -t UTF-8 OLD > NEW"
    )


def test_the_mark_of_utf8_is_allowed():
    """Windows editors put a mark in front of UTF-8; it changes nothing, nor the columns in messages."""
    assert parse_definition(b"\xef\xbb\xbf" + GOOD, "job.json", {}) == parse_definition(GOOD, "job.json", {})
    assert problem(b"\xef\xbb\xbf{a: 1}").startswith("job.json:1:2: a key without quotes")


YAML = 'this is YAML, not JSON — a definition is written in JSON: {"containers": [...]}'
TOML = 'this is TOML or an INI file, not JSON — a definition is written in JSON: {"containers": [...]}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'a': 1}", '1:2: a single quote — strings stand in double quotes: "..."'),
        ("{\"a\": 'b'}", '1:7: a single quote — strings stand in double quotes: "..."'),
        ("{“a”: 1}", '1:2: a typographic quote — strings stand in plain double quotes: "..."'),
        ('// job\n{"a": 1}', "1:1: a comment, which JSON does not have — remove it"),
        ('{"a": 1, # one\n"b": 2}', "1:10: a comment, which JSON does not have — remove it"),
        ('{"a": 1} /* end */', "1:10: a comment, which JSON does not have — remove it"),
        ('{"a": [1,\n 2,\n ]}', "2:3: a comma stands before the closing ] — remove the comma"),
        ('{"a": 1,}', "1:8: a comma stands before the closing } — remove the comma"),
        ('{"a": 1,, "b": 2}', "1:9: a comma with nothing before it — remove it, or put in what is missing"),
        ('{"a": 1\n "b": 2}', "1:8: a comma is missing here — put one between each two values"),
        ("{a: 1}", '1:2: a key without quotes — write it in double quotes: "key": value'),
        ('{"a" 1}', '1:6: a key is not followed by a colon — write "key": value'),
        ('{"a" = 1}', "1:6: a =, which JSON does not have — write : between a key and its value"),
        ('{"a": True}', "1:7: a word without quotes — write true"),
        ('{"a": yes}', "1:7: a word without quotes — write true"),
        ('{"a": worker}', '1:7: a word without quotes — put it in double quotes: "..."'),
        (
            '{"a": 4g}',
            "1:8: this is no number as JSON writes them — put it in double quotes, or remove leading zeros and units",
        ),
        ('{"a": .5}', "1:7: this is no number as JSON writes them — write digits, with at least one before a point"),
        (
            '{"a": "b}\n',
            '1:7: a string goes on past the end of its line — close it with ", or write \\n for a new line',
        ),
        ('{"a": "b', '1:7: this string has no end — close it with "'),
        ('{"a": "x\ty"}', "1:9: a tab stands in a string — write \\t"),
        ('{"a": "\x1b[1m"}', "1:8: the control character U+001B stands in a string — remove it"),
        ('{"a": "C:\\dir"}', "1:10: a backslash that begins no escape that JSON knows — write \\\\ for a backslash"),
        (
            '{"a": "say "hi""}',
            '1:13: text directly after the end of a string — write \\" for a double quote inside of a string',
        ),
        ('{"a": [1, 2\n', "1:12: the file ends before the [ of line 1 is closed — close it with ]"),
        ('{"a": [1}', "1:9: a } that does not match the [ of line 1 — check the brackets"),
        ('{"a": 1}}', "1:9: a } that closes nothing — remove it"),
        (
            '{"a": 1} {}',
            "1:10: more text after the end of the definition — a file holds one object, and nothing after it",
        ),
        ('["a": 1]', '1:5: a colon in the middle of a list — keys belong into objects: {"key": value}'),
        ("containers:\n  - name: head\n", f"1:1: {YAML}"),
        ("# my job\n---\ncontainers: []\n", f"2:1: {YAML}"),
        ("- name: head\n", f"1:1: {YAML}"),
        ('[[containers]]\nname = "head"\n', f"1:1: {TOML}"),
        ('network = "host"\n', f"1:1: {TOML}"),
        ("#!/bin/bash\n#PBS -l nodes=2\n", "1:1: this is a script, not a definition — name the JSON file that it uses"),
        ("dgrid --dockdef=x", '1:1: this is not JSON — a definition is an object: {"containers": [...]}'),
        ("<html>", '1:1: this is XML or HTML, not JSON — a definition is an object: {"containers": [...]}'),
        ("[" * 100_000, "1:21: lists and objects nest more than 20 deep here — is it the right file?"),
        ('{"a":' * 100_000, "1:101: lists and objects nest more than 20 deep here — is it the right file?"),
        ("[" + "1," * 30_000 + "1]", "1:40001: the file holds more than 20,000 values — is it the right file?"),
    ],
)
def test_the_cause_of_a_syntax_error(text, expected):
    """What is no JSON is told by line and column, with the cause that is most likely."""
    assert problem(text.encode()) == f"job.json:{expected}"


@pytest.mark.parametrize(
    "secret", ['{"A": "hunter2" "B"}', "{'A': 'hunter2'}", "A: hunter2", '["A=hunter2]', "hunter2"]
)
def test_syntax_errors_do_not_show_the_text(secret):
    """A syntax error may stand in the middle of a password: no piece of the text is shown."""
    assert "hunter" not in problem(secret.encode())


def test_repeated_keys():
    """A key that stands twice in its object is an error, since only one of them would count."""
    text = b'{"containers": [{"name": "head",\n "image": "a", "image": "b", "interactive": true}]}'
    assert problem(text) == (
        "job.json:2:16: containers[0].image: the key is there already, in line 2, and only the last would count"
        " — remove one of the two"
    )


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "1." + "0" * 5000, "123456789012345678901"]
)
def test_numbers_that_json_does_not_have(number):
    """NaN, the infinities and giant numbers are refused where they stand, and nothing else is said of them."""
    text = GOOD.replace(b"true", b'true, "stop_grace_s": ' + number.encode())
    assert problem(text) == (
        "job.json:1:85: containers[0].stop_grace_s: this number is too large, too long or not a number at all"
        " — write a plain number"
    )
