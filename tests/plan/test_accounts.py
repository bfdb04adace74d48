"""The submitter's entries among an image's own."""

from __future__ import annotations

from dgrid.plan.accounts import group_text, passwd_text
from dgrid.plan.allocation import Submitter

PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/bash\ngames:x:5:60::/usr/games:/bin/false\n"
)
GROUP = "root:x:0:\nnode:x:1000:\naudio:x:29:pulse\nusers:x:100:\n"


def user(name: str = "alice", uid: int = 2001) -> Submitter:
    return Submitter(name, uid, 2001, (29, 44, 100_000), "/home/alice", ((2001, "staff"), (29, "sound"), (44, "video")))


def test_submitter_is_added() -> None:
    """A stranger to the image gets a line, with a shell that every image has; the others stay."""
    text = passwd_text(PASSWD, user())
    assert text == PASSWD + "alice:x:2001:2001:alice:/home/alice:/bin/sh\n"


def test_an_image_without_accounts() -> None:
    """An image made of one program has no /etc/passwd; the submitter is its first user."""
    assert passwd_text("", user()) == "alice:x:2001:2001:alice:/home/alice:/bin/sh\n"


def test_the_same_number_gives_way() -> None:
    """The number is the submitter's, whatever the image calls it; the image's shell is one it has."""
    lines = passwd_text(PASSWD, user(uid=1000)).splitlines()
    assert [line for line in lines if ":1000:" in line] == ["alice:x:1000:2001:alice:/home/alice:/bin/bash"]


def test_the_same_name_gives_way() -> None:
    """The name is the submitter's, also where the image has another user called so."""
    lines = passwd_text(PASSWD, user(name="games")).splitlines()
    assert [line for line in lines if line.startswith("games:")] == ["games:x:2001:2001:games:/home/alice:/bin/sh"]


def test_all_groups_have_their_names_from_the_head() -> None:
    """Supplementary groups are there, those without a name too; a group of that number keeps its members."""
    lines = group_text(GROUP, user()).splitlines()
    assert lines == [
        "root:x:0:", "node:x:1000:", "users:x:100:",
        "staff:x:2001:alice", "sound:x:29:alice,pulse", "video:x:44:alice", "group100000:x:100000:alice",
    ]  # fmt: skip


def test_broken_lines_of_an_image() -> None:
    """Lines that are no entries do no harm."""
    assert "alice:x:2001" in passwd_text("\n:::\n#x\n", user())
    assert "staff:x:2001" in group_text("\nodd\n", user())


def test_numbers_as_directory_services_give_them() -> None:
    """Numbers close below 2^31 stand there as they are, in decimal."""
    big = Submitter("bob", 1_500_000_000, 2**31 - 1, (1_500_000_001,), "/home/bob", ())
    assert passwd_text("", big) == "bob:x:1500000000:2147483647:bob:/home/bob:/bin/sh\n"
    assert group_text("", big).splitlines() == [
        "group2147483647:x:2147483647:bob",
        "group1500000001:x:1500000001:bob",
    ]
