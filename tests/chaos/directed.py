"""Trials in which one particular protection must hold: the call that comes late is not left to chance.

Each prepares a situation, ends the run in it, and gives back what a random trial gives back, too. With the protection
taken out of dgrid (mutations.py) the same trial must find something.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ending import ending
from lanes import IMAGE, JOB, Lane
from victims import cut_off

_LEASE_S = 4
"""Shorter than dgrid's own, so that the trials of it are: it is a setting."""

_OVER_S = 1.0
"""How long after what is promised is waited for the last trace; what is there then is told as left."""

_SHORT_LEASE = f"[nodes]\nlease_s = {_LEASE_S}\nheartbeat_s = 0.5\n"
_AHEAD = 16
"""Containers that are created before the workers, as many as dgrid creates at a time with the next setting, or more."""
_FEW_AT_ONCE = "parallel = 4\n"
_SSHD = "sshd-session: alice@"
_BALLAST = "chaos-ballast"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a directed trial. It is red when anything was left or harmed, or went later than ``bound_s``."""

    name: str
    gone_s: float
    bound_s: float
    left: Sequence[str]
    harmed: Sequence[str]

    @property
    def is_red(self) -> bool:
        return bool(self.left or self.harmed) or self.gone_s > self.bound_s


def killed_outright(lane: Lane) -> Finding:
    """The launcher is killed while all containers run: the end of its input tells the leashes."""
    run = _start(lane, _worker(2), _head())
    lane.head.ask("await_moment", run=run, line="runs on", after_s=0.3)
    at = lane.head.ask("signal_run", run=run, name="KILL")
    return _finding("killed outright", lane, run, at, 10)


def silence(lane: Lane) -> Finding:
    """The network drops all the run's packets: only the lease can tell the other node's leash."""
    run = _start(lane, _worker(2), _head(), settings=_SHORT_LEASE)
    lane.head.ask("await_moment", run=run, line="runs on", after_s=0.3)
    with cut_off(lane, run) as at:
        lane.head.ask("ended", run=run, timeout_s=60)
        return _finding("silence", lane, run, at, _LEASE_S + 10)


def creates_under_way(lane: Lane) -> Finding:
    """The launcher is killed with creates under way; all of them end between the leash's first look and its second."""
    with _killed_while_creating(lane, 6) as run:
        pass
    held = lane.other.order("hold_second_look", containers=6, timeout_s=20)
    lane.other.ask("signal_engine", name="CONT")
    held.result(60)
    return _finding("creates under way", lane, run, time.monotonic(), 40)


def slow_creates(lane: Lane) -> Finding:
    """As before, but the leash looks when it likes: the engine may take longer for a create than it has patience."""
    with _killed_while_creating(lane, 6) as run:
        pass
    lane.other.ask("signal_engine", name="CONT")
    return _finding("slow creates", lane, run, time.monotonic(), 45)


def call_in_the_connection(lane: Lane) -> Finding:
    """sshd on the other node stands still with a create in it; it goes on when the leash there has ended."""
    # The worker's second instance is on the head's node. So dgrid looks at its image there, and the one connection to
    # the other engine is free for the create: it waits with all its bytes, and not for another connection.
    with _before_creates(lane, {**_worker(2), "placement": {"max_per_node": 1}}) as run:
        lane.other.ask("signal_matching", text=_SSHD, name="STOP")
        lane.head.ask("signal_engine", name="CONT")
        lane.other.ask("await_leash", there=False, timeout_s=_LEASE_S + 60)
        at = time.monotonic()
        lane.other.ask("signal_matching", text=_SSHD, name="CONT")
        time.sleep(2.0)  # nobody but the cut connection could now remove what a late create makes
        lane.head.ask("signal_run", run=run, name="KILL")
    return _finding("call in the connection", lane, run, at + 2.0, 10)


def longer_session(lane: Lane) -> Finding:
    """Another container's session label begins with this run's: it stays."""
    run = _start(lane, _worker(2), _head())
    lane.head.ask("await_moment", run=run, line="runs on", after_s=0.3)
    made = lane.other.ask("shell", script=_TWIN).split()
    at = lane.head.ask("signal_run", run=run, name="KILL")
    deadline = time.monotonic() + 20
    script = "docker ps --all --quiet --filter name=^/twin; docker network ls --quiet --filter name=^twin"
    while len(lane.other.ask("extra")) > len(made) + 1 and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2.5)  # for the second sweep
    kept = lane.other.ask("shell", script=script).split()
    lane.other.ask("shell", script="docker rm -f twin twin-no-value; docker network rm twin")
    finding = _finding("longer session", lane, run, at, 15)
    lost = [] if len(kept) == len(made) else [f"{lane.other.node}: of {made} only {kept}"]
    return Finding(finding.name, finding.gone_s, 20, finding.left, [*finding.harmed, *lost])


@contextmanager
def _killed_while_creating(lane: Lane, number: int) -> Iterator[str]:
    """Leaves the other node's engine standing still, with creates waiting in it, and the leash's first look."""
    lane.other.ask("shell", script=_MAKE_BALLAST)
    with _before_creates(lane, {**_worker(number), "image": _BALLAST}) as run:
        lane.other.ask("signal_engine", name="STOP")
        lane.head.ask("signal_engine", name="CONT")
        time.sleep(2.5)  # now the creates wait
        lane.head.ask("signal_run", run=run, name="KILL")
        time.sleep(1.0)  # and so does the look
        yield run


DIRECTED: Sequence[Callable[[Lane], Finding]] = (
    killed_outright,
    silence,
    creates_under_way,
    slow_creates,
    call_in_the_connection,
    longer_session,
)

_TWIN = """
session=$(docker ps --filter label=io.dgrid.role=worker --format '{{.CreatedAt}} {{.Label "io.dgrid.session"}}' \
    | sort | tail -n 1 | sed 's/.* //')
docker create --name twin --label io.dgrid.session=${session}0 debian:trixie-slim true | cut -c1-12
docker create --name twin-no-value --label io.dgrid.session=${session%?} debian:trixie-slim true | cut -c1-12
docker network create --label io.dgrid.session=${session}0 twin | cut -c1-12
"""


def _start(lane: Lane, *containers: dict[str, Any], options: str = "", settings: str = "") -> str:
    run = f"directed-{time.monotonic_ns()}"
    lane.head.ask("write", path=f"/tmp/chaos/{run}/dgrid/config.toml", text=settings)
    extra = {"PBS_JOBID": JOB, "CHAOS_TRIAL": run, "XDG_CONFIG_HOME": f"/tmp/chaos/{run}", "options": options}
    lane.start(run, {"containers": list(containers)}, 2, **extra)
    return run


def _head() -> dict[str, Any]:
    return {"name": "head", "interactive": True, "image": IMAGE, "run_cmd": ["sleep", "600"], "stop_grace_s": 0}


def _worker(scale: int) -> dict[str, Any]:
    place = {"on": "others"}
    return {"name": "w", "image": IMAGE, "run_cmd": ["sleep", "3000"], "scale": scale, "placement": place,
            "stop_grace_s": 0}  # fmt: skip


@contextmanager
def _before_creates(lane: Lane, worker: dict[str, Any]) -> Iterator[str]:
    """Within it a run has its leashes, and no create for the other node has been sent.

    Those for the head's node, whose engine stands still, are ahead of it and take all turns.
    """
    ahead = {**_worker(_AHEAD), "name": "ahead", "placement": {"on": "head"}}
    run = _start(lane, _head(), ahead, worker, options="--oversubscribe", settings=_SHORT_LEASE + _FEW_AT_ONCE)
    if not lane.head.ask("await_leash", there=True, timeout_s=20):
        raise RuntimeError(f"no leash: {lane.head.ask('ended', run=run, timeout_s=5)}")
    lane.head.ask("signal_engine", name="STOP")
    try:
        lane.other.ask("await_leash", there=True, timeout_s=20)
        time.sleep(0.3)
        if made := lane.other.ask("new_containers"):
            raise RuntimeError(f"{made} creates were sent to {lane.other.node} before their time")
        yield run
    finally:
        lane.head.ask("signal_engine", name="CONT")


def _finding(name: str, lane: Lane, run: str, since: float, bound_s: float) -> Finding:
    end = ending(lane, run, max(0.0, since + bound_s + _OVER_S - time.monotonic()))
    return Finding(name, max(0.0, end.clear_at - since), bound_s, end.left, end.missing)


# An image whose volume takes the engine a while to fill, in each create, before it lists the container.
_MAKE_BALLAST = f"""docker image inspect {_BALLAST} >/dev/null 2>&1 && exit
docker run --name {_BALLAST} --network none {IMAGE} bash -c \
    'mkdir /ballast; cd /ballast; for i in $(seq 1500); do mkdir $i; echo $i > $i/file; done'
docker commit --change 'VOLUME /ballast' {_BALLAST} {_BALLAST}; docker rm {_BALLAST}"""
