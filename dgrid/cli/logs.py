"""``dgrid logs``: what workers wrote."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import click

from dgrid.cli.looking import Sight, Where, as_output, finish, looking, show_gathered, where_options
from dgrid.cli.looking_text import log_line
from dgrid.cli.narrator import say
from dgrid.errors import NodeError, Stopped, UsageError
from dgrid.plan.looking import Listed, pick

Write = Callable[[bytes], None]

_HEAD = (
    "{name} is the head container: its output is dgrid's own stdout and stderr, so it is in the job's output file, or "
    "wherever dgrid was started, and with `dgrid run --log-dir` in a file as well; `dgrid attach` shows what comes "
    "from now on"
)


@click.command()
@click.argument("containers", metavar="[CONTAINER]...", nargs=-1)
@where_options
@click.option("--follow", "-f", is_flag=True, help="Go on with what they write, until they end.")
@click.option("--tail", metavar="N", type=click.IntRange(0), help="Only the last N lines of each.")
@click.option("--json", "as_json", is_flag=True, help="Each line as a line of JSON: node, name, stream, line.")
def logs(containers: tuple[str, ...], where: Where, follow: bool, tail: int | None, as_json: bool) -> None:
    """Show what the workers of a run wrote: those named, else all of them.

    CONTAINER is worker-2, or worker for all its instances, or worker-[1-3]. The output of one comes as it is; of
    several, equal texts come once, under the names; with --follow each line begins with the name. Ctrl-C ends it.
    """
    with as_output(), looking(where) as sight:
        wanted = _with_logs(pick(sight.run(), containers), bool(containers))
        try:
            errors = _show(sight, wanted, follow, tail, as_json)
        except Stopped as stopped:
            if not follow or stopped.signum != signal.SIGINT:
                raise
            errors = ()
        finish((*sight.view.errors, *errors))


def _with_logs(picked: tuple[Listed, ...], named: bool) -> tuple[Listed, ...]:
    """Without the head, which keeps no log. Raises UsageError where nothing else was asked for."""
    head = next((one for one in picked if one.is_head), None)
    workers = tuple(one for one in picked if not one.is_head)
    if head is not None and not workers:
        raise UsageError(_HEAD.format(name=head.name))
    if head is not None and named:
        say(f"dgrid: {_HEAD.format(name=head.name)}")
    return workers


def _show(
    sight: Sight, wanted: tuple[Listed, ...], follow: bool, tail: int | None, as_json: bool
) -> tuple[NodeError, ...]:
    from dgrid.nodes.look_log import follow_logs, gather_logs, read_logs
    from dgrid.nodes.output import to_streams
    from dgrid.nodes.terminal import Streams

    write = to_streams(Streams())
    read = follow_logs if follow else read_logs
    if len(wanted) == 1 and not as_json:
        return read(sight.view, wanted, tail, lambda _one, is_stderr, data: write(is_stderr, data), sight.stop)
    if follow or as_json:
        lines = _Lines(lambda data: write(False, data), as_json)
        errors = read(sight.view, wanted, tail, lines.take, sight.stop)
        lines.end()
        return errors
    texts, errors = gather_logs(sight.view, wanted, tail, sight.stop)
    show_gathered(write, False, [(name, out) for name, out, _ in texts])
    show_gathered(write, True, [(name, err) for name, _, err in texts])
    return errors


class _Lines:
    """Puts the output of several together by lines, whichever threads it comes from."""

    def __init__(self, write: Write, as_json: bool) -> None:
        self._write = write
        self._as_json = as_json
        self._lock = threading.Lock()
        self._begun: dict[tuple[str, bool], tuple[Listed, bytes]] = {}

    def take(self, one: Listed, is_stderr: bool, data: bytes) -> None:
        with self._lock:
            key = (one.container_id, is_stderr)
            *lines, rest = (self._begun.get(key, (one, b""))[1] + data).split(b"\n")
            self._begun[key] = (one, rest)
            if lines:
                self._write(b"".join(self._told(one, is_stderr, line) for line in lines))

    def end(self) -> None:
        """Write last lines that had no end."""
        for (_, is_stderr), (one, rest) in self._begun.items():
            if rest:
                self._write(self._told(one, is_stderr, rest))

    def _told(self, one: Listed, is_stderr: bool, line: bytes) -> bytes:
        return log_line(one, is_stderr, line) if self._as_json else b"%s: %s\n" % (one.name.encode(), line)
