"""Which of a Dockerfile's ARGs ask for the user, and what they get. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dgrid.images.dockerfile import Dockerfile
from dgrid.plan.allocation import Submitter

# Whose the number or name is may stand before it (HOST_UID; NB_UID is Jupyter's), a count behind it (USER1).
_WHOSE = r"(?:(?:DOCKER|HOST|LOCAL|MY|NB|NEW|RUN)_?)?"
_MEANINGS = tuple(
    (what, re.compile(rf"{_WHOSE}{words}_?\d*"))
    for what, words in (
        ("user", r"(?:USER|USER_?NAME|LOGIN|LOGNAME)"),
        ("uid", r"(?:UID|USER_?UID|USER_?ID)"),
        ("gid", r"(?:GID|(?:USER|GROUP)_?GID|GROUP_?ID)"),
        ("group", r"(?:GROUP|GROUP_?NAME|USER_?GROUP)"),
    )
)


def identity_arguments(dockerfile: Dockerfile, user: Submitter, given: Mapping[str, str]) -> dict[str, str]:
    """``{"USER1": "alice", "UID1": "1001"}`` for a Dockerfile with those ARGs, built by alice.

    Names count whatever their case: USER, USERNAME, UID, USER_ID, GID, GROUP_ID, GROUP and the like, digits at the
    end or not. What is ``given`` by the user is left out, as it wins.
    """
    values = {"user": user.name, "uid": str(user.uid), "gid": str(user.gid), "group": _group(user)}
    meant = {name: meaning(name) for name in dockerfile.arguments() if name not in given}
    return {name: values[what] for name, what in meant.items() if what is not None}


def meaning(name: str) -> str | None:
    """``meaning("USER_ID1") == "uid"``: "user", "uid", "gid", "group", or None for an ARG that means something else."""
    return next((what for what, words in _MEANINGS if words.fullmatch(name.upper())), None)


def _group(user: Submitter) -> str:
    """The group's name; where it has none, the user's, as is the custom for groups of one."""
    return dict(user.group_names).get(user.gid, user.name)
