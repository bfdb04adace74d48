"""What to do about a container that failed because its image counts on being root, told by its last lines.

No container of a run is root or has a capability; programs of stock images that assume either seldom say so.
"""

from __future__ import annotations

import re

from dgrid.record import record

_OWN_IMAGE = (
    "`dgrid image check {image}` tells what else in the image asks for root, and `dgrid image build` makes one for you"
)
_ROOTS_PLACES = r"/(?:var|run|etc|usr|opt|srv|data|root|lib|app)\b"
_DENIED = r"(?:permission denied|read-only file system|EACCES)"


@record
class _Hint:
    """``pattern`` is looked for in each line, whatever the case of its letters."""

    pattern: str
    reason: str
    remedy: str


_SWITCHERS = r"(?:su|sudo|gosu|su-exec|setpriv|runuser|chroot|setuid|setgid|setgroups|initgroups|switching to)"
_LOW_PORT = r"(?::|port )(?:[1-9]\d{0,2}|10[01]\d|102[0-3])\b"

_HINTS = (
    # gosu says "failed switching to", su-exec "setgroups: ...", sudo "no new privileges".
    _Hint(
        rf"^(?=.*\b{_SWITCHERS}\b).*(?:not permitted|no new privileges|may not be used|authentication failure)",
        "it tries to become another user, which only root can",
        'have it start its program directly ("run_cmd", "entrypoint")',
    ),
    _Hint(
        r"(?:[fl]?chown|chgrp|changing (?:ownership|group) of).*not permitted",
        "it changes the owner of files, which only root can",
        'start its program without the script that does so ("entrypoint"), or mount a directory of yours there',
    ),
    # nginx: "bind() to 0.0.0.0:80 failed"; sshd: "Bind to port 22 on 0.0.0.0 failed".
    _Hint(
        rf"^(?=.*{_DENIED}).*\bbind.*{_LOW_PORT}",
        "it wants a port below 1024, which in the nodes' own network only root can have",
        "give it a higher port",
    ),
    _Hint(
        rf"{_ROOTS_PLACES}.*{_DENIED}|{_DENIED}.*{_ROOTS_PLACES}",
        "it wants to use a file or directory that is root's in the image",
        'mount a directory of yours there ("volumes"), or point the program to one under your home',
    ),
    _Hint(
        r"(?<!not )\b(?:must|needs?|requires?|should|only|are you)\b(?! not\b).*\b(?:root|superuser)\b",
        "it wants to be root, and no container of a run is",
        "see whether the program has an option to run as an ordinary user",
    ),
)


def hint(image: str, last_lines: str) -> str | None:
    """What the last lines of a container that failed mean, and what to do; None if they tell nothing of the kind.

    ``hint("nginx:1.27", "nginx: bind() to 0.0.0.0:80 failed (13: Permission denied)")`` says that the port is too low.
    """
    for one in _HINTS:
        if re.search(one.pattern, last_lines, re.IGNORECASE | re.MULTILINE):
            return f"{one.reason}: {one.remedy}; {_OWN_IMAGE.format(image=image)}"
    return None
