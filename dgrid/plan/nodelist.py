"""Reading a node file: which hosts it names, and how many slots each has."""

from __future__ import annotations

import ipaddress
import re

from dgrid.errors import NodeFileError, Problem
from dgrid.record import record

_NEWLINE = re.compile(r"\r\n|\n|\r")
_WORD = re.compile(r"[^ \t\f\v]+")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_ZONE = re.compile(r"[A-Za-z0-9_.-]+")
_BRACKETED = re.compile(r"\[([^\]]*)\]")
_SLOTS = re.compile(r"slots=([0-9]{1,7})", re.IGNORECASE)
_COUNTED = re.compile(r"(\[[^\]]*\]|[A-Za-z0-9_.-]+):([0-9]+)")
_LONGEST_NAME = 253  # RFC 1035, section 2.3.4, without the dot at the end
_LONGEST_LABEL = 63
_SHOWN = 60


@record
class _Host:
    """One line: the name as spelt, what decides whether two names are the same host, and where it stands."""

    name: str
    key: str
    is_address: bool
    slots: int
    line: int
    column: int

    @property
    def is_short(self) -> bool:
        return not self.is_address and "." not in self.key


class _BadLineError(Exception):
    """One line cannot be read: what is wrong in which column (from 0), and what to do."""

    def __init__(self, column: int, what: str, remedy: str | None = None) -> None:
        super().__init__(what)
        self.column = column
        self.what = what
        self.remedy = remedy


def parse_node_file(text: bytes, file: str) -> tuple[tuple[str, int], ...]:
    """``parse_node_file(b"n1\\nn1\\nn2\\n", "nodes") == (("n1", 2), ("n2", 1))``: names and slots, in file order.

    One line is one slot; ``n1 slots=4`` (as Open MPI has it) is four. Lines may be empty, end in CRLF, have blanks
    around the name and a comment after ``#``. A short name and the FQDN that begins with it are one host, and so
    are spellings that differ in capitals only; the first spelling is kept. ``a.x.org`` and ``a.y.org`` are two hosts.
    Addresses are IPv4, or IPv6 with or without brackets; the brackets are not part of the name.

    ``file`` is only for messages. Raises NodeFileError with one Problem for each line that cannot be read, or with
    one for the file when it is no text or names no host.
    """
    if b"\0" in text:
        raise NodeFileError((Problem(file, "this is no text file", "give a file with one host name a line"),))
    hosts: list[_Host] = []
    problems: list[Problem] = []
    lines = _NEWLINE.split(text.decode("utf-8", "surrogateescape").removeprefix("\ufeff"))
    for number, line in enumerate(lines, 1):
        try:
            host = _parse_line(line, number)
        except _BadLineError as bad:
            problems.append(Problem(file, bad.what, bad.remedy, number, bad.column + 1))
        else:
            hosts += [host] if host else []
    problems += _ambiguous(hosts, file)
    if not hosts and not problems:
        problems.append(Problem(file, "the file names no node", "give a file with one host name a line"))
    if problems:
        raise NodeFileError(tuple(sorted(problems, key=lambda problem: problem.line or 0)))
    return _merge(hosts)


def same_host_key(name: str) -> str:
    """What two spellings of one host have in common: small letters, no dot at the end, shortest form of an address."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower().removesuffix(".")


def is_address(name: str) -> bool:
    """``is_address("fe80::1")``: whether a node is named by its IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _parse_line(line: str, number: int) -> _Host | None:
    words = list(_WORD.finditer(line.partition("#")[0]))
    if not words:
        return None
    first = words[0]
    slots = 1
    for word in words[1:]:
        slots = _parse_slots(word)
    name = _parse_name(first.group(), first.start())
    return _Host(name, same_host_key(name), is_address(name), slots, number, first.start() + 1)


def _parse_slots(word: re.Match[str]) -> int:
    match = _SLOTS.fullmatch(word.group())
    if match is None:
        raise _BadLineError(
            word.start(),
            f"{_shown(word.group())} after the host name is not understood",
            'one host a line, one line a slot, or "host slots=4"',
        )
    if int(match[1]) == 0:
        raise _BadLineError(word.start(), "a node with no slots", "leave the line out, or give a number from 1")
    return int(match[1])


def _parse_name(word: str, column: int) -> str:
    bracketed = _BRACKETED.fullmatch(word)
    if bracketed:
        if not _is_ipv6(bracketed[1]):
            raise _BadLineError(column, f"{_shown(word)} is no IPv6 address", "only IPv6 addresses stand in brackets")
        return bracketed[1]
    if _is_ipv6(word):
        return word
    counted = _COUNTED.fullmatch(word)
    if counted:
        raise _BadLineError(
            column + counted.start(2) - 1,
            f"{_shown(word)} is not understood",
            f'for {counted[2]} slots write "{_shorten(counted[1])} slots={_shorten(counted[2])}", '
            "or the host name on as many lines",
        )
    return _parse_host_name(word, column)


def _parse_host_name(word: str, column: int) -> str:
    good = _NAME.match(word)
    length = good.end() if good else 0
    if word[length : length + 1] == "[":
        raise _BadLineError(column + length, f"{_shown(word)} is a folded name; write one host on each line")
    if length < len(word):
        raise _BadLineError(column + length, f"{_shown(word)} contains {_shown(word[length])}, which no host name has")
    if word.startswith("-"):
        raise _BadLineError(column, f"{_shown(word)} begins with a hyphen, which no host name does")
    if len(word.removesuffix(".")) > _LONGEST_NAME:
        raise _BadLineError(
            column, f"a host name of {len(word)} characters; {_LONGEST_NAME} is the most a name may have"
        )
    labels = word.removesuffix(".").split(".")
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise _BadLineError(column, f"{_shown(word)} is no host name: each part has 1 to {_LONGEST_LABEL} characters")
    if any(label.startswith("-") or label.endswith("-") for label in labels):
        raise _BadLineError(column, f"{_shown(word)} is no host name: no part begins or ends with a hyphen")
    # A last part of digits alone would be taken for an address by whatever resolves the name (RFC 1123, 2.1).
    if labels[-1].isdigit() and not is_address(word):
        raise _BadLineError(column, f"{_shown(word)} is neither a host name nor an IP address")
    return word


def _is_ipv6(word: str) -> bool:
    try:
        address = ipaddress.IPv6Address(word)
    except ValueError:
        return False
    return address.scope_id is None or bool(_ZONE.fullmatch(address.scope_id))


def _shown(word: str) -> str:
    """The word in quotes, safe on any terminal: nothing but printable ASCII, and not too long."""
    return '"' + _shorten(word).encode("unicode_escape", "surrogatepass").decode("ascii") + '"'


def _shorten(word: str) -> str:
    return word if len(word) <= _SHOWN else word[: _SHOWN - 3] + "..."


def _full_names(hosts: list[_Host]) -> dict[str, list[_Host]]:
    """Short name -> the first line of each different FQDN that begins with it."""
    found: dict[str, dict[str, _Host]] = {}
    for host in hosts:
        if not host.is_short and not host.is_address:
            found.setdefault(host.key.partition(".")[0], {}).setdefault(host.key, host)
    return {short: list(by_key.values()) for short, by_key in found.items()}


def _ambiguous(hosts: list[_Host], file: str) -> list[Problem]:
    full = _full_names(hosts)
    return [
        Problem(
            file,
            f'"{host.name}" may be {" or ".join(other.name for other in full[host.key][:3])}',
            "write the full name",
            host.line,
            host.column,
        )
        for host in hosts
        if host.is_short and len(full.get(host.key, ())) > 1
    ]


def _merge(hosts: list[_Host]) -> tuple[tuple[str, int], ...]:
    full = _full_names(hosts)
    names: dict[str, str] = {}
    slots: dict[str, int] = {}
    for host in hosts:
        key = full[host.key][0].key if host.is_short and host.key in full else host.key
        names.setdefault(key, host.name)
        slots[key] = slots.get(key, 0) + host.slots
    return tuple((names[key], count) for key, count in slots.items())
