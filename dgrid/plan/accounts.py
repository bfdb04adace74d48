"""The submitter's entries in a container's /etc/passwd and /etc/group (passwd(5), group(5)).

So whoami, id, ssh, sshd, git and getpass find who they run as in any image.
"""

from __future__ import annotations

from dgrid.plan.allocation import Submitter

PASSWD = "/etc/passwd"
GROUP = "/etc/group"


def passwd_text(image_text: str, user: Submitter) -> str:
    """The image's /etc/passwd with the submitter in it, in place of others of that name or number.

    An image that knows the number keeps its choice of shell; else it is /bin/sh, which every image with a shell has.
    """
    lines = [line.split(":") for line in image_text.splitlines() if line.strip()]
    shells = [line[6] for line in lines if len(line) == 7 and line[2] == str(user.uid)]
    others = [line for line in lines if line[0] != user.name and line[2:3] != [str(user.uid)]]
    own = [user.name, "x", str(user.uid), str(user.gid), user.name, user.home, next(filter(None, shells), "/bin/sh")]
    return _text([*others, own])


def group_text(image_text: str, user: Submitter) -> str:
    """The image's /etc/group with all groups of the submitter, under the names they have on the head.

    A group of the image's with one of these numbers or names gives way; members it had are kept.
    """
    lines = [line.split(":") for line in image_text.splitlines() if line.strip()]
    names = dict(user.group_names)
    own = {str(gid): names.get(gid, f"group{gid}") for gid in dict.fromkeys((user.gid, *user.groups))}
    members = {line[2]: line[3].split(",") for line in lines if len(line) == 4 and line[3]}
    others = [line for line in lines if line[2:3] and line[2] not in own and line[0] not in own.values()]
    ours = [[name, "x", gid, ",".join(dict.fromkeys((user.name, *members.get(gid, ()))))] for gid, name in own.items()]
    return _text([*others, *ours])


def _text(lines: list[list[str]]) -> str:
    return "".join(":".join(line) + "\n" for line in lines)
