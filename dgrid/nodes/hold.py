"""Telling the leashes of a run, without dgrid, which was stopped, that the run is suspended and not lost."""

from __future__ import annotations

from collections.abc import Sequence

from dgrid.config import Settings
from dgrid.nodes.fanout import errors_of, fan_out, raise_all
from dgrid.nodes.link import LinkKind
from dgrid.nodes.open_link import LinkOpener
from dgrid.plan.allocation import Node
from dgrid.plan.naming import LEASH_WORD

# The main process of a leash is the one whose parent is no leash itself.
_SCRIPT = """
pids=" $(for d in /proc/[0-9]*; do
  case $(tr '\\0' ' ' <$d/cmdline) in *"{name} {session} ") echo ${{d#/proc/}} ;; esac
done 2>/dev/null | tr '\\n' ' ')"
for pid in $pids; do
  read -r stat </proc/$pid/stat || continue
  set -- ${{stat##*) }}
  case $pids in *" $2 "*) ;; *) kill -USR2 $pid ;; esac
done 2>/dev/null
"""


def hold(session: str, nodes: Sequence[Node], settings: Settings) -> None:
    """Let the leashes of ``session`` on these nodes pause its containers and not count the time.

    They go on when dgrid does. Raises NodeError or ManyNodesError for nodes that cannot be told.
    """
    opener = LinkOpener(LinkKind(settings.link), settings.connect_timeout_s, settings.carrier)
    script = _SCRIPT.format(name=LEASH_WORD, session=session)

    def tell(node: Node) -> None:
        link = opener.open(node)
        try:
            link.run(script, settings.connect_timeout_s)
        finally:
            link.close()

    raise_all(errors_of(fan_out(nodes, tell, settings.parallel)))
