"""Choosing and opening the right kind of link to each node."""

from __future__ import annotations

import shlex
import threading
from typing import TYPE_CHECKING

from dgrid.errors import HostKeyError, LinkError
from dgrid.nodes.link import Link, LinkKind
from dgrid.nodes.link_local import LocalLink
from dgrid.plan.allocation import Node

if TYPE_CHECKING:
    from dgrid.nodes.open_ssh import SshOpener


class LinkOpener:
    """Opens links, to each node by the right way. Safe between threads."""

    def __init__(self, kind: LinkKind, timeout_s: float, carrier: str | None = None) -> None:
        """``carrier`` is the command that runs others on a node, whose name ends it: "oarsh"; None: there is none."""
        self._kind = kind
        self._carrier = tuple(shlex.split(carrier or ""))
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._ssh: SshOpener | None = None

    def open(self, node: Node) -> Link:
        """The link to ``node``. Tries again when sshd drops connections under load. Raises LinkError."""
        if node.is_local:
            return LocalLink(node.name)
        if self._kind is LinkKind.BATCH:
            return self._open_by_command(node)
        try:
            return self._by_ssh().open(node)
        except HostKeyError:
            raise  # somebody may listen in: no reason to take another way
        except LinkError as error:
            if self._kind is not LinkKind.AUTO or not self._carrier:
                raise
            return self._open_instead(node, error)

    def _open_instead(self, node: Node, refused: LinkError) -> Link:
        try:
            link = self._open_by_command(node)
        except LinkError as error:
            raise type(refused)(node.name, f"{refused.what}; nor by `{self._carrier[0]}`: {error.what}") from refused
        link.remark = f"reached by `{self._carrier[0]}`, as ssh is refused there ({refused.what})"
        return link

    def _open_by_command(self, node: Node) -> Link:
        if not self._carrier:
            raise LinkError(
                node.name,
                "--link batch needs a command of the batch system that leads to other nodes, and there is none here; "
                "use ssh, or name one in the settings (carrier)",
            )
        from dgrid.nodes import link_command  # few runs need it

        return link_command.connect(node.name, self._carrier, self._timeout_s)

    def way(self, node: Node) -> str:
        """How ``open`` reaches a node, and why so: "by ssh (paramiko)". Raises LinkError."""
        if node.is_local:
            return "without ssh, as it is this machine"
        if self._kind is LinkKind.BATCH:
            return f"by {shlex.join(self._carrier)}" if self._carrier else "by a command that is not known"
        return self._by_ssh().way(node)

    def _by_ssh(self) -> SshOpener:
        with self._lock:
            if self._ssh is None:
                from dgrid.nodes.open_ssh import SshOpener  # a run on this machine alone does without: 10 ms

                self._ssh = SshOpener(self._kind, self._timeout_s)
            return self._ssh
