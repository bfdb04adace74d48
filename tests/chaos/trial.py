"""The plan of trials: each a value that follows from the seed and its number alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

PHASES = (
    "dgrid: checking",
    "dgrid: images on",
    "dgrid: creating",
    "dgrid: starting",
    "runs on node",
    "dgrid: removing",
)
"""Parts of the lines that dgrid writes to stderr; each but the last two when its phase is over."""


class Victim(Enum):
    """What is hit."""

    LAUNCHER = "launcher"
    LEASH = "leash"
    ENGINE = "engine"
    NODE = "node"
    NETWORK = "network"


class Kind(Enum):
    """By what the end is to be noticed, and so how soon; times of different kinds are not mixed."""

    LOUD = "loud"
    """The launcher dies at once, or a leash."""
    ASKED = "asked"
    """The launcher is asked to end, and tears down by itself."""
    SILENT = "silent"
    """Nobody is told anything: a lease must run out."""
    DISTURBED = "disturbed"
    """Something stands still or is away for less than a lease; times count from when it is back."""


@dataclass(frozen=True, slots=True)
class Blow:
    """``Blow(Victim.ENGINE, "STOP", for_s=2, then="KILL")``: dockerd stands still for 2 s, in which the launcher dies.

    ``for_s`` is None where nothing is undone; ``then`` is a signal for the launcher ``then_s`` after the first.
    ``whole`` is for a leash: all of its three processes are hit, else one of them.
    """

    victim: Victim
    signal: str
    kind: Kind
    for_s: float | None = None
    then: str | None = None
    then_s: float = 0.0
    whole: bool = True

    @property
    def name(self) -> str:
        second = f"+launcher:{self.then}" if self.then else ""
        return f"{self.victim.value}:{self.signal}{second}"


@dataclass(frozen=True, slots=True)
class Trial:
    """One run and what happens to it.

    ``at_fraction`` is the moment as a part of an undisturbed run's length; with ``line`` it is ``after_s`` after
    that line instead. ``on_other`` tells whether the victim is on the second node, if the run has one.
    """

    seed: int
    number: int
    blow: Blow
    at_fraction: float
    line: str | None
    after_s: float
    nodes: int
    workers: int
    head_s: float
    exit_code: int
    on_other: bool
    link: str

    @property
    def name(self) -> str:
        return f"{self.seed}-{self.number}"


_SHARES: tuple[tuple[float, str], ...] = (
    (45, "launcher:KILL"),
    (8, "launcher:TERM"),
    (6, "launcher:INT"),
    (6, "launcher:HUP"),
    (8, "leash:KILL"),
    (3, "leash:TERM"),
    (2, "leash:HUP"),
    (2, "leash:INT"),
    (2, "leash:STOP"),
    (4, "engine:STOP"),
    (3, "engine:KILL"),
    (3, "node:STOP"),
    (1, "node:LOST"),
    (4, "launcher:STOP"),
    (3, "network:LOST"),
)
"""How often each is drawn. A leash ignores HUP and INT. STOP is undone after a time, for a node one that is shorter
than the lease; LOST is silence for longer than that."""


def names() -> tuple[str, ...]:
    """The names by which a trial's blow can be chosen: ``launcher:KILL`` and so on."""
    return tuple(name for _, name in _SHARES)


def draw(seed: int, number: int, kinds: tuple[str, ...] = ()) -> Trial:
    """Trial ``number`` of ``seed``, the same every time. ``kinds`` are beginnings of the names it is drawn from."""
    dice = random.Random(f"{seed}:{number}")
    shares = [(share, name) for share, name in _SHARES if not kinds or name.startswith(kinds)]
    if not shares:
        raise ValueError(f"no trial is called {' or '.join(kinds)}; there are: {', '.join(names())}")
    (name,) = dice.choices([name for _, name in shares], [share for share, _ in shares])
    nodes = dice.choices((1, 2), (1, 4))[0]
    if name.startswith(("network", "node")):
        nodes = 2  # silence is between nodes
    blow = _blow(name, dice)
    hooked = dice.random() < 0.5
    # Before there is a leash, or anything on the nodes, only the launcher can be hit; that is not known by the time
    # alone, as other trials make a run take longer.
    first = 0 if name.startswith("launcher") else PHASES.index("dgrid: creating")
    hooked = hooked or first > 0
    # The later phases need the head to live on: what is silent for seconds must have a run to be silent in.
    lasting_s = (blow.for_s or 0.0) + (30.0 if blow.kind is Kind.SILENT else 0.0)
    return Trial(
        seed=seed,
        number=number,
        blow=blow,
        at_fraction=dice.uniform(0.02, 0.92),
        line=dice.choice(PHASES[first:-1]) if hooked else None,
        after_s=dice.uniform(0.05 if first else 0.0, 0.3),
        nodes=nodes,
        workers=dice.randint(1, 3),
        head_s=round(dice.uniform(0.3, 0.8) + lasting_s, 2),
        exit_code=dice.choice((0, 0, 1, 3, 42)),
        on_other=nodes == 2 and (name in ("network:LOST", "node:STOP") or dice.random() < 0.5),
        link=dice.choices(("paramiko", "openssh"), (5, 1))[0],
    )


def _blow(name: str, dice: random.Random) -> Blow:
    victim, signal = name.split(":")
    match victim, signal:
        case "launcher", "KILL":
            return Blow(Victim.LAUNCHER, signal, Kind.LOUD)
        case "launcher", "STOP":
            return _for_a_while(Victim.LAUNCHER, signal, dice.choice((dice.uniform(0.5, 4), dice.uniform(4, 22))), dice)
        case "launcher", _:
            return Blow(Victim.LAUNCHER, signal, Kind.ASKED)
        case "leash", "STOP":
            return Blow(Victim.LEASH, signal, Kind.DISTURBED, for_s=dice.uniform(1, 4))
        case "leash", _:
            return Blow(Victim.LEASH, signal, Kind.LOUD, whole=signal != "KILL" or dice.random() < 0.5)
        case _, "LOST":
            return Blow(Victim(victim), signal, Kind.SILENT, for_s=dice.uniform(18, 26))
    away_s = dice.uniform(0.5, 3.0) if victim == "engine" else dice.uniform(2.0, 6.0)
    return _for_a_while(Victim(victim), signal, away_s, dice)


def _for_a_while(victim: Victim, signal: str, away_s: float, dice: random.Random) -> Blow:
    then = "KILL" if dice.random() < 0.5 else None
    return Blow(victim, signal, Kind.DISTURBED, for_s=away_s, then=then, then_s=dice.random() * min(away_s, 3.0))
