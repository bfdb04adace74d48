"""Nodes and slots as batch systems write them: node files, folded names, counts."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dgrid.batch.sources import Surroundings
from dgrid.errors import NodeFileError, UsageError
from dgrid.plan.folding import unfold
from dgrid.plan.nodelist import parse_node_file
from dgrid.record import record

_GIVE = "give the nodes with --hostfile"
_BRACKETS = re.compile(r"([^\[\]]*)\[([^\[\]]+)\]([^\[\]]*)")
_SHOWN = 200


@record
class JobNodes:
    """(node, slots) in the batch system's order, each node once.

    ``source`` says in words where they come from. ``taken`` are pairs of what was learnt and from which variable:
    ``("slots", "$SLURM_TASKS_PER_NODE")``. ``contradictions`` are sentences on variables that do not fit together;
    they say which was taken.
    """

    nodes: tuple[tuple[str, int], ...]
    source: str
    taken: tuple[tuple[str, str], ...]
    contradictions: tuple[str, ...] = ()

    @property
    def slots(self) -> int:
        """All slots together."""
        return sum(slots for _, slots in self.nodes)


def of_node_file(around: Surroundings, variable: str, total: str | None = None) -> JobNodes:
    """One host a line, one line a slot, in the file that a variable names. Raises UsageError and NodeFileError.

    ``total`` is the variable with the number of slots, to be compared.
    """
    path = around.environment[variable]
    nodes = parse_node_file(read_named(around, variable), f"${variable}: {path}")
    listed = JobNodes(nodes, f"node file {path}", (("nodes and slots", f"the file of ${variable}"),))
    return compared(listed, around, total, listed.slots, f"the file of ${variable}")


def read_named(around: Surroundings, variable: str) -> bytes:
    """What is in the file that a variable names. Raises UsageError, which names the variable too."""
    try:
        return around.read(around.environment[variable])
    except UsageError as error:
        raise UsageError(f"${variable}: {error}") from error


def compared(listed: JobNodes, around: Surroundings, variable: str | None, number: int, taken: str) -> JobNodes:
    """With one more contradiction, if a variable is set and is another number than what ``taken`` gives."""
    said = around.environment.get(variable, "") if variable else ""
    if not said.isdecimal() or int(said) == number:
        return listed
    text = f"${variable} is {said}, but {taken} makes it {number}, which was taken"
    return JobNodes(listed.nodes, listed.source, listed.taken, (*listed.contradictions, text))


def checked(pairs: Iterable[tuple[str, int]], variable: str, value: str) -> tuple[tuple[str, int], ...]:
    """The same hosts and slots, each host once. Raises UsageError if a name is no host's, or if there is none."""
    text = "\n".join(f"{name} slots={slots}" for name, slots in pairs)
    try:
        return parse_node_file(text.encode("utf-8", "surrogateescape"), variable)
    except NodeFileError as error:
        raise unreadable(variable, value, error.problems[0].what) from error


def unfolded(variable: str, value: str) -> tuple[str, ...]:
    """``unfolded("SLURM_JOB_NODELIST", "b[2-3],a1") == ("b2", "b3", "a1")``: in the order written.

    Counts of slots come in that order, which ClusterShell would not keep. Raises UsageError.
    """
    names: list[str] = []
    try:
        for part in re.split(r",(?![^\[]*\])", value.strip()):
            found = _BRACKETS.fullmatch(part)
            ranges = found[2].split(",") if found else ()
            pieces = [f"{found[1]}[{one}]{found[3]}" for one in ranges] if found else [part]
            names += [name for piece in pieces for name in unfold(piece)]
    except ValueError as error:
        raise unreadable(variable, value, str(error)) from error
    if not names:
        raise unreadable(variable, value, "it names no node")
    return tuple(names)


def unreadable(variable: str, value: str, why: str) -> UsageError:
    """The error for a variable whose value makes no sense."""
    shown = value if len(value) <= _SHOWN else value[: _SHOWN - 3] + "..."
    return UsageError(
        f"the batch system's {shown_name(variable)} is {shown!a}, which is not understood ({why}) — {_GIVE}"
    )


def shown_name(variable: str) -> str:
    """``shown_name("NSLOTS") == "$NSLOTS"``; what is no variable of the environment stands as it is."""
    return f"${variable}" if re.fullmatch(r"\w+", variable) else variable


def number_of(around: Surroundings, variable: str) -> int | None:
    """A count of at least 1; None if it is not set. Raises UsageError."""
    said = around.environment.get(variable, "").strip()
    if not said:
        return None
    if not said.isdecimal() or int(said) < 1:
        raise unreadable(variable, said, "a number from 1 is expected")
    return int(said)
