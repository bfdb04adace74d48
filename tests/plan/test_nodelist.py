"""Node files: what they mean, and what is said of those that mean nothing."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgrid.errors import NodeFileError
from dgrid.plan.nodelist import parse_node_file


def problems(text: bytes) -> list[str]:
    with pytest.raises(NodeFileError) as caught:
        parse_node_file(text, "nodes")
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"n1\nn1\nn2\nn2\n", (("n1", 2), ("n2", 2))),
        (b"n2\nn1\nn2\n", (("n2", 2), ("n1", 1))),
        (b"n1", (("n1", 1),)),
        (b"n1\r\nn2\r\n", (("n1", 1), ("n2", 1))),
        (b"\xef\xbb\xbfn1\n", (("n1", 1),)),
        (b"\n\n  n1\t\n\n# all of n2 is down\nn3 # the last\n", (("n1", 1), ("n3", 1))),
        (b"N1\nn1\n", (("N1", 2),)),
        (b"n1 slots=4\nn2 slots=2\nn1\n", (("n1", 5), ("n2", 2))),
        (b"n1.x.org.\nn1.x.org\n", (("n1.x.org.", 2),)),
        (b"10.0.0.1\n10.0.0.1\n10.0.0.2", (("10.0.0.1", 2), ("10.0.0.2", 1))),
        (b"fe80::1\n[fe80::1]\nFE80:0::1\n", (("fe80::1", 3),)),
        (b"[2001:db8::7]\n", (("2001:db8::7", 1),)),
        (b"fe80::1%eth0\n", (("fe80::1%eth0", 1),)),
    ],
)
def test_what_a_node_file_means(text, expected):
    """One line is one slot; order is the file's; blank lines, comments, CRLF and capitals change nothing."""
    assert parse_node_file(text, "nodes") == expected


def test_a_short_name_is_the_host_of_the_full_name_that_begins_with_it():
    """Whichever spelling comes first is kept."""
    assert parse_node_file(b"n1\nn1.x.org\n", "f") == (("n1", 2),)
    assert parse_node_file(b"n1.x.org\nn1\nn2\n", "f") == (("n1.x.org", 2), ("n2", 1))


def test_equal_short_names_in_two_domains_are_two_hosts():
    """Only a short name is ever merged with a full one."""
    assert parse_node_file(b"a.x.org\na.y.org\n", "f") == (("a.x.org", 1), ("a.y.org", 1))


def test_a_short_name_that_fits_two_hosts_is_an_error():
    """dgrid does not guess which host was meant."""
    assert problems(b"a.x.org\na.y.org\na\n") == ['nodes:3:1: "a" may be a.x.org or a.y.org — write the full name']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "nodes: the file names no node — give a file with one host name a line"),
        (b"\n# n1\n", "nodes: the file names no node — give a file with one host name a line"),
        (b"n\x001\x00", "nodes: this is no text file — give a file with one host name a line"),
        (b"n1\nn\xc3\xa42\n", r'nodes:2:2: "n\xe42" contains "\xe4", which no host name has'),
        (b"n\xff2\n", r'nodes:1:2: "n\udcff2" contains "\udcff", which no host name has'),
        (b"n1\x1b[31m\n", r'nodes:1:3: "n1\x1b[31m" contains "\x1b", which no host name has'),
        (b"n[1-3]\n", 'nodes:1:2: "n[1-3]" is a folded name; write one host on each line'),
        (b"n1;reboot\n", 'nodes:1:3: "n1;reboot" contains ";", which no host name has'),
        (b"  -oProxyCommand\n", 'nodes:1:3: "-oProxyCommand" begins with a hyphen, which no host name does'),
        (b"n1-.x\n", 'nodes:1:1: "n1-.x" is no host name: no part begins or ends with a hyphen'),
        (b"n1..x\n", 'nodes:1:1: "n1..x" is no host name: each part has 1 to 63 characters'),
        (b"10.0.0.300\n", 'nodes:1:1: "10.0.0.300" is neither a host name nor an IP address'),
        (b"[n1]\n", 'nodes:1:1: "[n1]" is no IPv6 address — only IPv6 addresses stand in brackets'),
        (
            b"n1:4\n",
            'nodes:1:3: "n1:4" is not understood — for 4 slots write "n1 slots=4", or the host name on as many lines',
        ),
        (
            b"n1 cpus=4\n",
            'nodes:1:4: "cpus=4" after the host name is not understood — '
            'one host a line, one line a slot, or "host slots=4"',
        ),
        (b"n1 slots=0\n", "nodes:1:4: a node with no slots — leave the line out, or give a number from 1"),
        (
            b".".join([b"abcdefghi"] * 26),
            "nodes:1:1: a host name of 259 characters; 253 is the most a name may have",
        ),
    ],
)
def test_what_is_said_of_a_bad_line(text, expected):
    """File, line and column, what is wrong, and what to write; nothing that could disturb a terminal."""
    assert problems(text) == [expected]


def test_every_bad_line_is_reported_in_file_order():
    """One run shows all mistakes, ambiguous names among them."""
    places = [text.split(": ")[0] for text in problems(b"a\na.x.org\n-b\na.y.org\nc:2\n")]
    assert places == ["nodes:1:1", "nodes:3:1", "nodes:5:2"]


def test_ten_thousand_lines_take_well_under_a_second():
    """Neither many slots of few nodes nor many nodes are slow."""
    text = "".join(f"node{number:05}.cluster.example\nnode{number:05}\n" for number in range(5000)).encode()
    began = time.perf_counter()
    assert len(parse_node_file(text, "nodes")) == 5000
    assert time.perf_counter() - began < 0.7


_LINES = st.sampled_from(
    [
        b"n1",
        b"n1.x.org",
        b"n1.y.org",
        b"[::1]",
        b"::1",
        b"10.0.0.1",
        b"n1 slots=3",
        b"n2:3",
        b"#",
        b"\r",
        b"[",
        b"-",
        b"%",
    ]
)


@given(st.one_of(st.binary(max_size=200), st.lists(st.one_of(_LINES, st.binary(max_size=12))).map(b"\n".join)))
def test_no_file_whatever_raises_anything_but_a_node_file_error(text):
    """And what is read is names that can be shown and given to ssh, each once, with at least one slot."""
    try:
        found = parse_node_file(text, "nodes")
    except NodeFileError as error:
        assert error.problems
        assert str(error).replace("\n", "").isprintable()
        return
    names = [name for name, _ in found]
    assert names
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.isprintable() and name[0] not in "-[ " for name in names)
    assert all(slots >= 1 for _, slots in found)


@given(st.lists(st.sampled_from(["n1", "n2", "n3.x.org", "10.0.0.1"]), min_size=1))
def test_no_slot_is_lost(lines):
    """The slots of all nodes together are the lines of the file."""
    found = parse_node_file("\n".join(lines).encode(), "nodes")
    assert sum(slots for _, slots in found) == len(lines)
