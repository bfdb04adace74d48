"""Many node names in little room: ``node[1-4,7]``."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What ClusterShell would read as syntax of its own (groups, ranges, operators) is kept away from it.
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]+")


def fold(names: Iterable[str]) -> str:
    """``fold(["node1", "node2", "node3"]) == "node[1-3]"``; the empty list gives ``""``.

    Equal names count once and the result is sorted. Names that ClusterShell cannot read stand as they are, with
    commas between, in the order given.
    """
    wanted = list(dict.fromkeys(names))
    if len(wanted) < 2 or not all(_PLAIN.fullmatch(name) for name in wanted):
        return ",".join(wanted)
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

    try:
        return str(NodeSet.fromlist(wanted, resolver=RESOLVER_NOGROUP))
    except NodeSetException:
        return ",".join(wanted)


def unfold(text: str) -> tuple[str, ...]:
    """``unfold("node[1-3]") == ("node1", "node2", "node3")``; ``""`` gives no names. Raises ValueError.

    Commas separate, as do blanks; ranges are ClusterShell's, its groups (``@all``) are not for here.
    """
    if "[" not in text:
        return tuple(dict.fromkeys(text.replace(",", " ").split()))
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

    try:
        return tuple(NodeSet(text, resolver=RESOLVER_NOGROUP))
    except NodeSetException as error:
        raise ValueError(str(error)) from error


def quote_all(names: Iterable[str]) -> str:
    """``quote_all(["a", "b"]) == '"a", "b"'``: names of containers in a message."""
    return ", ".join(f'"{name}"' for name in names)
