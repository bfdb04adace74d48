"""Names of images, and the ARGs that ask for the user."""

from __future__ import annotations

import pytest
from builds import BASE, USER

from dgrid.errors import UsageError
from dgrid.images.dockerfile import parse_dockerfile
from dgrid.images.identity import identity_arguments, meaning
from dgrid.images.names import default_name, full_reference, image_name, is_named_for, registry_of, user_part


@pytest.mark.parametrize(
    ("name", "registry", "full"),
    [
        ("redis", None, "localhost/alice/redis:latest"),
        ("redis:7", None, "localhost/alice/redis:7"),
        ("redis", "testcluster:5000", "testcluster:5000/alice/redis:latest"),
        ("redis", "hub.example.org/group", "hub.example.org/group/alice/redis:latest"),
        ("alice/redis:7", None, "localhost/alice/redis:7"),
        ("testcluster:5000/alice/redis", None, "testcluster:5000/alice/redis:latest"),
    ],
)
def test_names_have_registry_user_name_and_tag(name, registry, full):
    """What is not said is ``localhost``, which no engine asks for images, and ``latest``."""
    assert image_name("alice", name, registry) == full


@pytest.mark.parametrize(
    ("name", "registry", "text"),
    [
        ("bob/redis", None, "bob/redis: your images are called alice/..."),
        ("redis", "testcluster", "write testcluster:5000 (its port), or its full name"),
        ("redis", "https://hub.example.org", "without http:// or https://"),
        ("Redis", None, "has capital letters"),
        ("a:5000/alice/x", "b:5000", "-t names the registry a:5000, --registry b:5000"),
    ],
)
def test_wrong_names_are_refused_with_what_to_write(name, registry, text):
    """Another user's names, registries that would be taken for parts of names, and what engines refuse."""
    with pytest.raises(UsageError) as raised:
        image_name("alice", name, registry)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("user", "part"), [("alice", "alice"), ("Alice.Smith", "alice.smith"), ("_a__b@x", "a_b-x"), ("李", "user")]
)
def test_any_users_name_becomes_a_part_of_a_name(user, part):
    """Engines take it, whatever the site calls its users."""
    assert user_part(user) == part
    assert image_name(user, "x") == f"localhost/{part}/x:latest"


@pytest.mark.parametrize(
    ("reference", "own"),
    [
        ("localhost/alice/x:1", True),
        ("hub:5000/group/alice/x", True),
        ("localhost/bob/x", False),
        ("alice:1", False),
        ("hub:5000/alice/sub/x", False),
    ],
)
def test_own_images_are_known_by_the_part_before_the_name(reference, own):
    """An image that is merely called alice is not hers."""
    assert is_named_for(reference, "alice") is own


@pytest.mark.parametrize(
    ("reference", "registry"), [("hub:5000/a/x", "hub:5000"), ("localhost/a/x", None), ("x", None)]
)
def test_registry_of_a_name(reference, registry):
    """``localhost`` is none: such images stay on the cluster."""
    assert registry_of(reference) == registry


def test_the_dockerfile_may_name_the_image():
    """Its label io.dgrid.image.name counts; else the directory's name, as far as it can be one."""
    named = parse_dockerfile(f'{BASE}LABEL a=b io.dgrid.image.name="dgrid.pyssh"\n', "Dockerfile")
    plain = parse_dockerfile(BASE, "Dockerfile")
    assert default_name(named, "pyssh") == "dgrid.pyssh"
    assert default_name(plain, "My Image") == "my-image"


@pytest.mark.parametrize(
    ("given", "only_short", "full"),
    [
        ("redis", True, "localhost/alice/redis:latest"),
        ("redis", False, "redis"),
        ("alice/redis:1", False, "localhost/alice/redis:1"),
        ("0123456789ab", True, "0123456789ab"),
        ("hub:5000/bob/x", True, "hub:5000/bob/x"),
    ],
)
def test_short_names_on_the_command_line_are_ones_own(given, only_short, full):
    """Where public images are meant, too, ``redis`` is the public one."""
    assert full_reference("alice", given, only_short) == full


@pytest.mark.parametrize(
    ("name", "what"),
    [
        *[(name, "user") for name in ("USER", "USER1", "user", "USERNAME", "USER_NAME", "NB_USER", "username2")],
        *[(name, "uid") for name in ("UID", "UID1", "uid", "USER_ID", "USER_UID", "HOST_UID", "NB_UID", "UID_1")],
        *[(name, "gid") for name in ("GID", "GID1", "GROUP_ID", "USER_GID", "LOCAL_GID")],
        *[(name, "group") for name in ("GROUP", "GROUP1", "GROUPNAME", "group_name")],
        *[(name, None) for name in ("USERS", "DB_USER", "MONGODB_USER", "UIDS", "GUID", "UUID", "BASE", "PORT1")],
    ],
)
def test_arguments_that_plainly_mean_the_user(name, what):
    """A database's user or a UUID is not the submitter."""
    assert meaning(name) == what


def test_arguments_are_filled_from_the_account():
    """Those before FROM and in any stage; the group without a name is called as the user; what is given wins."""
    file = parse_dockerfile(f"ARG UID1\n{BASE}ARG USER1\nARG GID=5 GROUP\nARG OTHER=1\n", "Dockerfile")
    assert identity_arguments(file, USER, {}) == {
        "UID1": "2001",
        "USER1": "dgridtest",
        "GID": "2002",
        "GROUP": "testers",
    }
    assert identity_arguments(file, USER, {"UID1": "7", "GID": "8"}) == {"USER1": "dgridtest", "GROUP": "testers"}
