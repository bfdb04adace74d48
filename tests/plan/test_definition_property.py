"""Whatever the bytes are: a Definition or a DefinitionError, in under a second of work, and nothing else."""

import json
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dgrid.errors import DefinitionError
from dgrid.plan.definition import Definition
from dgrid.plan.mistake import escape
from dgrid.plan.parse import parse_definition
from dgrid.plan.schema import schema_text

MAIL_RELAYS = (Path(__file__).parents[1] / "data" / "mail-relays.json").read_bytes()
ENVIRONMENT = {"A": "x", "N": "7", "BAD": "\udcff", "HOME": "/home/alice"}
LIMIT_S = 1.0

SCHEMA = json.loads(schema_text())
KEYS = sorted(
    {key for node in (SCHEMA, *SCHEMA["$defs"].values()) for key in node.get("properties", {})} | {"user", "env", "x y"}
)
PIECES = st.sampled_from(
    ["/a:/b", "tag=x", "worker", "head", "worker-1", "head:X", "A=1", "${A}", "${N}", "${", "$$", "${BAD}", "True",
     "4g", "per_node", "restart", "/", "..", ":", "@", "=", "\x00", "\u202e", "\ud800", "é", "a/b:c", "", "'", "|"]
)  # fmt: skip
STRINGS = st.lists(PIECES, max_size=3).map("".join) | st.text(max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | STRINGS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | STRINGS, inner, max_size=4),
    max_leaves=8,
)
CONTAINER_KEYS = sorted(SCHEMA["$defs"]["container"]["properties"])
EXAMPLES = {key: entry["examples"] for key, entry in SCHEMA["$defs"]["container"]["properties"].items()}


def outcome(text: bytes) -> Definition | DefinitionError:
    began = time.process_time()
    try:
        result: Definition | DefinitionError = parse_definition(text, "job.json", ENVIRONMENT)
    except DefinitionError as error:
        result = error
    assert time.process_time() - began < LIMIT_S
    if isinstance(result, DefinitionError):
        assert result.problems
        for problem in result.problems:
            assert str(problem) == escape(str(problem)), "a terminal would act on, hide or reorder a piece of it"
    return result


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_random_bytes(text):
    """Random bytes are no definition."""
    assert isinstance(outcome(text), DefinitionError)


@given(st.text(max_size=200))
@settings(deadline=None)
def test_random_text(text):
    """Random text is no definition either."""
    assert isinstance(outcome(text.encode("utf-8", "surrogatepass")), DefinitionError)


@given(st.lists(st.tuples(st.integers(0, len(MAIL_RELAYS) - 1), st.integers(0, 40), st.binary(max_size=6)), max_size=4))
@settings(deadline=None)
def test_a_definition_with_pieces_cut_and_put_in(changes):
    """A right file with bytes cut out and others put in is read or refused."""
    text = MAIL_RELAYS
    for start, length, new in changes:
        text = text[:start] + new + text[start + length :]
    outcome(text)


@given(st.lists(st.tuples(st.integers(0, len(MAIL_RELAYS) - 1), st.sampled_from(list(b"\"{}[]:,\\0 \n'#$")))))
@settings(deadline=None)
def test_a_definition_with_other_punctuation(changes):
    """A right file with wrong punctuation is read or refused."""
    text = bytearray(MAIL_RELAYS)
    for position, char in changes:
        text[position] = char
    outcome(bytes(text))


@given(VALUES)
@settings(deadline=None)
def test_any_json(value):
    """Any JSON at all is read or refused."""
    outcome(json.dumps(value).encode())


@st.composite
def containers(draw):
    """Containers with mostly known keys, their values right or wrong."""
    entry = {"name": draw(st.sampled_from(["head", "worker", "worker-1", "c"])), "image": "a"}
    for key in draw(st.lists(st.sampled_from(CONTAINER_KEYS), max_size=5, unique=True)):
        entry[key] = draw(st.sampled_from(EXAMPLES[key]) | VALUES | st.lists(STRINGS, max_size=3))
    return entry


@given(st.lists(containers(), max_size=5), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2))
@settings(max_examples=300, deadline=None)
def test_definitions_with_wrong_values(entries, top):
    """Definitions whose values are of the wrong kind, or odd, are read or refused."""
    outcome(json.dumps(top | {"containers": entries}).encode())


@given(
    st.integers(1, 400_000),
    st.sampled_from(["[", "{", '"', '{"a":', "1,", "[],", '\\"', "#\n", "a ", '"a":1,', "é", "\0"]),
)
@settings(max_examples=60, deadline=None)
def test_long_files(count, piece):
    """Long files of one piece again and again are refused in under a second."""
    for before, after in (("", ""), ('{"containers": [', "]}"), ('{"name": "', '"}')):
        outcome((before + piece * count + after).encode())


@given(
    st.sampled_from(CONTAINER_KEYS), st.sampled_from(["x", "a-", "a.b-", "${N}", "/", "/a:/b", "' ", "_", "A=", "9"])
)
@settings(deadline=None)
def test_long_values(key, piece):
    """Long strings and long lists in every key are read or refused in under a second."""
    for value in (piece * 100_000, [piece * 50_000], [piece] * 19_000, {piece: [piece] * 9_000}):
        container = {"name": "head", "image": "a", "interactive": True} | {key: value}
        outcome(json.dumps({"containers": [container]}).encode())
