"""How long a container may take to end after it was asked to."""

from __future__ import annotations

_REMOVAL_S = 3.0
"""What killing and removing the containers of a run takes at most, as a rule; of a shorter time, half is left."""


def grace(own_s: float | None, site_s: float, leaves_s: float | None = None) -> float:
    """``grace(None, 10.0) == 10.0``; ``grace(30.0, 10.0, leaves_s=10.0) == 7.0``.

    Seconds from the stop signal to KILL: the definition's own (``own_s``), else the site's. Where a signal from the
    batch system may be behind it, which kills all ``leaves_s`` after, no longer than leaves time to remove everything.
    """
    wanted_s = site_s if own_s is None else own_s
    return wanted_s if leaves_s is None else min(wanted_s, max(leaves_s - _REMOVAL_S, leaves_s / 2))
