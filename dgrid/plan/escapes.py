"""Engine versions known for ways out of a container: a small table, dated, of what matters on shared nodes.

State of 2026-11-20. Sources: runc's CHANGELOG.md, crun's NEWS, the CVE records (cve.org) and Moby's release notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dgrid.record import record

AS_OF = "2026-11-20"

_Version = tuple[int, int, int, int]
_FINAL = 10_000
"""Stands for "no release candidate", which comes after all of them."""
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:[-~.+]?rc[-.]?(\d+))?")


@record
class Escape:
    """One row. ``fixed`` has the first good version of each branch that got the fix, in order; what is older than the
    first is affected, unless it is older than ``since``. ``with_authorization``: only where the engine has an
    authorization plugin.
    """

    part: str
    cves: str
    what: str
    fixed: tuple[str, ...]
    since: str = "0.0"
    with_authorization: bool = False


# In the order of their fixes, for each part: the last row's versions have the fixes of all.
ESCAPES = (
    # "runc through 1.0-rc6" (the CVE's record); commit 0a8e4117 of runc.
    Escape("runc", "CVE-2019-5736", "a container can overwrite runc on the node", ("1.0.0-rc7",)),
    # runc CHANGELOG, 1.1.12; the CVE's record names 1.0.0-rc93 as the first version that has it.
    Escape(
        "runc",
        "CVE-2024-21626 (Leaky Vessels)",
        "an image can begin in a directory of the node",
        ("1.1.12",),
        since="1.0.0-rc93",
    ),
    # runc CHANGELOG, 1.2.8, 1.3.3 and 1.4.0-rc.3: "high-severity".
    Escape(
        "runc",
        "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
        "a container can have files of the node's /proc mounted writable",
        ("1.2.8", "1.3.3", "1.4.0-rc3"),
    ),
    # runc CHANGELOG, 1.3.6, 1.4.3 and 1.5.0-rc.3: "low-severity".
    Escape(
        "runc",
        "CVE-2026-41579",
        "an image can write to the node's files in a limited way",
        ("1.3.6", "1.4.3", "1.5.0-rc3"),
    ),
    # crun NEWS, 1.27 and 1.28.
    Escape("crun", "CVE-2026-30892", "a command in a container can run as the wrong user", ("1.27",)),
    Escape("crun", "CVE-2026-47766", "an image's /dev can lead out of its container", ("1.28",)),
    # The records of cve.org; Moby's release notes of 26.1.5 and 27.1.1, the branches' fixes in osv.dev GO-2024-3005.
    Escape(
        "docker",
        "CVE-2024-41110",
        "users can get past its authorization plugin",
        ("19.03.16", "20.10.28", "23.0.15", "24.0.10", "25.0.6", "26.0.3", "26.1.5", "27.1.1"),
        since="19.03",
        with_authorization=True,
    ),
    Escape(
        "docker", "CVE-2026-34040", "users can get past its authorization plugin", ("29.3.1",), with_authorization=True
    ),
    Escape(
        "docker",
        "CVE-2026-41567",
        "an image can run a program as root when a compressed archive is copied into its container",
        ("29.5.1",),
    ),
)


def known_escapes(part: str, version: str, authorization: bool) -> Iterator[Escape]:
    """The rows that fit: ``[row.cves for row in known_escapes("crun", "1.26", False)]``.

    None for a version that says no number. ``part`` is "docker", "runc" or "crun"; ``authorization`` says whether the
    engine has an authorization plugin.
    """
    number = parse_version(version)
    if number is None:
        return
    for row in ESCAPES:
        if row.part == part and (authorization or not row.with_authorization) and _is_affected(number, row):
            yield row


def parse_version(text: str) -> _Version | None:
    """``parse_version("1.0.0~rc93+ds1") == (1, 0, 0, 93)``; None if there is no number in it."""
    found = _VERSION.search(text)
    if found is None:
        return None
    major, minor, patch, candidate = found.groups()
    return int(major), int(minor), int(patch or 0), int(candidate) if candidate else _FINAL


def _is_affected(number: _Version, row: Escape) -> bool:
    since = parse_version(row.since)
    fixed = [version for version in map(parse_version, row.fixed) if version is not None]
    if since is not None and number < since:
        return False
    own_branch = next((version for version in fixed if version[:2] == number[:2]), None)
    # A branch between two fixed ones never got its own fix; one after the last was made with it.
    return number < (own_branch or fixed[-1])
