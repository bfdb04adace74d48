"""The nodes and slots the batch system gave, and who asked for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One host of the allocation, named as the node file names it.

    ``slots`` is how many instances it takes (lines of the node file). ``is_local`` says that dgrid runs on it;
    with ``--local N`` all N nodes are this machine.
    """

    name: str
    slots: int
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class Allocation:
    """Nodes in node-file order, at least one of them local.

    ``source`` says in words where they come from ("node file /var/spool/aux/12.head"). ``job_id`` is None outside
    a job. ``job_variables`` are the batch system's own variables, given on to every container.
    """

    nodes: tuple[Node, ...]
    source: str
    batch_system: str | None = None
    job_id: str | None = None
    job_variables: tuple[tuple[str, str], ...] = ()

    @property
    def here(self) -> Node:
        """The node dgrid runs on: the head container's node."""
        return next(node for node in self.nodes if node.is_local)

    @property
    def machines(self) -> int:
        """How many different machines the nodes are; less than nodes only with ``--local``."""
        return len({None if node.is_local else node.name for node in self.nodes})


@dataclass(frozen=True, slots=True)
class Submitter:
    """The user every container runs as, resolved once on the head. ``groups`` are supplementary gids."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
