"""dgrid with one protection taken out, to see that the harness would notice: the check of the check.

There is no switch in dgrid for this: its source is copied beside the lab's own with a text in it replaced.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from agents import Agent
from directed import Finding, call_in_the_connection, creates_under_way, killed_outright, silence
from lanes import Lane, Program

from dgrid.lab.source import LIBRARY, source_tar


@dataclass(frozen=True, slots=True)
class Mutation:
    """``replaced`` are (text, other text) in ``file``, each of which must be there once; ``trial`` must then be red."""

    name: str
    file: str
    replaced: tuple[tuple[str, str], ...]
    trial: Callable[[Lane], Finding]


MUTATIONS = (
    Mutation(
        "end of input is not heeded",
        "dgrid/nodes/leash_script.py",
        (("  echo end >&4\n", ""),),
        killed_outright,
    ),
    Mutation(
        "no labels on create",
        "dgrid/plan/naming.py",
        (("        (LABEL_SESSION, session),\n", ""),),
        killed_outright,
    ),
    Mutation(
        "no lease",
        "dgrid/nodes/leash_script.py",
        (("[ $late -lt $lease ] || ended=", "true || ended="),),
        silence,
    ),
    Mutation(
        "no second sweep",
        "dgrid/nodes/leash_script.py",
        (("looks=2\n", "looks=1\n"), ("|| looks=25\n", "|| :\n"), ("[ $clean -ge $looks ] || sleep 1", "sleep 1")),
        creates_under_way,
    ),
    Mutation(
        "the connection is not cut",
        "dgrid/nodes/leash_script.py",
        (('  [ -z "$cut" ] || kill $parent\n', ""),),
        call_in_the_connection,
    ),
)  # fmt: skip


def mutant(mutation: Mutation, agent: Agent) -> Program:
    """Put a copy of dgrid with the mutation on a node; how it is run. Raises ValueError where the text is not there."""
    root = f"/opt/mutant-{mutation.name.replace(' ', '-')}"
    agent.put(mutated(mutation), root)
    start = f"import sys; sys.path.insert(0, '{root}/{LIBRARY}'); from dgrid.cli.main import entry; entry()"
    return Program(("/usr/bin/python3", "-I", "-c", start), mutation.name)


def tried(mutation: Mutation, lane: Lane) -> Finding:
    """The mutation's trial, with dgrid mutated."""
    before, lane.program = lane.program, mutant(mutation, lane.head)
    try:
        return mutation.trial(lane)
    finally:
        lane.program = before


def mutated(mutation: Mutation) -> bytes:
    """dgrid's source with the mutation, as a tar. Raises ValueError where its text is not there once."""
    source, target, done = io.BytesIO(source_tar()), io.BytesIO(), False
    with tarfile.open(fileobj=source) as old, tarfile.open(fileobj=target, mode="w") as new:
        for entry in old:
            file = old.extractfile(entry)
            content = file.read() if file else b""
            if entry.name == f"{LIBRARY}/{mutation.file}":
                content, done = _replace(content.decode(), mutation).encode(), True
            entry.size = len(content)
            new.addfile(entry, io.BytesIO(content))
    if not done:
        raise ValueError(f"{mutation.name}: there is no {mutation.file}")
    return target.getvalue()


def _replace(text: str, mutation: Mutation) -> str:
    for old, new in mutation.replaced:
        if text.count(old) != 1:
            raise ValueError(f"{mutation.name}: {old!r} is {text.count(old)} times in {mutation.file}")
        text = text.replace(old, new)
    return text
