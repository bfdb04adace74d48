"""Building on this machine's Docker: what the image is, what is told, and what goes wrong."""

from __future__ import annotations

import io
import tarfile

import pytest
from builds import BASE, USER, build_context, parse

from dgrid.config import Settings
from dgrid.errors import EngineUnreachable, ImageError, InputError, ManyNodesError, UsageError
from dgrid.images.build import BuildOrder, build
from dgrid.images.check import check_directory
from dgrid.images.context import Context, context_stream, find_context
from dgrid.images.identity import identity_arguments
from dgrid.images.init import write_dockerfile
from dgrid.images.machine import first_engine
from dgrid.plan.allocation import Node

NAME = "localhost/dgridtest/test-build:1"


@pytest.fixture
def built(workshop, engine):
    """``built(context)`` builds it; the image's configuration and the build's output. Removed at the end."""
    made = []

    def build_it(context, **options):
        dockerfile = parse(context)
        arguments = tuple(identity_arguments(dockerfile, USER, {}).items())
        output = []
        made.append(
            build(BuildOrder(context, dockerfile, NAME, USER.name, arguments, **options), workshop, output.append)
        )
        return engine.images.get(NAME).attrs["Config"], "".join(output)

    yield build_it
    if made:
        engine.images.remove(NAME, force=True)


def entries(context):
    with tarfile.open(fileobj=io.BytesIO(b"".join(context_stream(context)))) as tar:
        return {member.name: member for member in tar.getmembers()}


def refusal(workshop, context, **options):
    with pytest.raises((ImageError, InputError, UsageError)) as raised:
        build(BuildOrder(context, parse(context), NAME, USER.name, **options), workshop, lambda _text: None)
    return raised.value


@pytest.mark.parametrize("names", ["USER UID GID", "USER1 UID1 GID1", "username user_id group_id"])
def test_the_image_has_its_user(built, tmp_path, names):
    """Whatever the Dockerfile calls them; the label says for whom it was built; the output comes piece by piece."""
    user, uid, gid = names.split()
    body = f"ARG {user}\nARG {uid}\nARG {gid}\nRUN echo it is for ${user}\nUSER ${uid}:${gid}\n"
    config, output = built(build_context(tmp_path, body))
    assert config["User"] == "2001:2002"
    assert config["Labels"]["io.dgrid.image.user"] == "dgridtest"
    assert "\nit is for dgridtest\n" in output


def test_what_init_writes_builds_without_a_network_and_passes_the_check(built, tmp_path):
    """A start that is right; and the user it makes is there."""
    write_dockerfile(tmp_path / "new")
    assert check_directory(tmp_path / "new", None, USER, {}) == ()
    config, _ = built(find_context(tmp_path / "new", None), network="none")
    assert (config["User"], config["Volumes"]) == ("2001:2002", None)


def test_init_overwrites_nothing(tmp_path):
    """The file stays as it is."""
    (tmp_path / "Dockerfile").write_text("mine")
    with pytest.raises(UsageError) as raised:
        write_dockerfile(tmp_path)
    assert "there is one already, and it stays as it is" in str(raised.value)
    assert (tmp_path / "Dockerfile").read_text() == "mine"


def test_the_context_is_the_directory_without_what_dockerignore_names(tmp_path):
    """Exceptions count; links stay links; modes are kept; everything is root's."""
    files = {"run": "#!/bin/sh\n", "big/a.dat": "x" * 600, "big/keep": "", ".dockerignore": "# no\nbig/*\n!big/keep\n"}
    context = build_context(tmp_path, BASE, files)
    (tmp_path / "link").symlink_to("run")
    found = entries(context)
    assert set(found) == {"Dockerfile", ".dockerignore", "run", "big", "big/keep", "link"}
    assert (found["run"].mode, found["run"].uid, found["link"].linkname) == (0o755, 0, "run")


def test_a_dockerfile_elsewhere_is_sent_along(built, tmp_path):
    """Its own directory is not."""
    context = build_context(tmp_path / "dir", BASE, {"data": "there"})
    (tmp_path / "Other").write_text(f"{BASE}COPY data /\nRUN cat /data\n")
    _, output = built(Context(context.directory, tmp_path / "Other"))
    assert "\nthere" in output


def test_a_failing_step_and_its_last_lines_come_last(workshop, tmp_path):
    """With the place in the Dockerfile, the command and its exit code."""
    context = build_context(tmp_path, "ARG X\n\nRUN true\nRUN for i in 1 2; do echo line $i; done; \\\n   exit 3\n")
    error = refusal(workshop, context)
    assert isinstance(error, ImageError)
    assert error.what.splitlines() == [
        f"building {NAME} failed at Dockerfile:5: RUN for i in 1 2; do echo line $i; done;    exit 3 (exit code 3)",
        "  | line 1",
        "  | line 2",
    ]


def test_the_engines_own_words_are_told(workshop, tmp_path):
    """Where no command failed, but the engine itself."""
    error = refusal(workshop, build_context(tmp_path, "COPY nothing /\n"))
    assert error.what.startswith(f"building {NAME} failed at Dockerfile:2: COPY failed: file not found")


def test_a_full_disk_is_told_with_its_place(workshop, tmp_path):
    """A build that ends with the kernel's word for it says which directory, how much is free, and what to do."""
    body = "RUN cat /dev/zero > /dev/full\n"
    error = refusal(workshop, build_context(tmp_path, body))
    assert "No space left on device" in error.what
    assert error.what.splitlines()[-1].startswith("the disk with /")
    assert error.what.splitlines()[-1].endswith("remove images you do not need: dgrid image list, dgrid image remove")


def test_what_needs_buildkit_is_refused_before_anything_is_sent(workshop, tmp_path):
    """With its line and what to do instead."""
    error = refusal(workshop, build_context(tmp_path, "\nRUN --mount=type=cache,target=/x true\nCOPY <<E /x\nE\n"))
    assert isinstance(error, InputError)
    assert [problem.line for problem in error.problems] == [3, 4]
    assert "RUN --mount needs BuildKit" in str(error)


def test_without_an_engine_the_next_node_is_taken(workshop):
    """The first whose engine answers; here a machine whose socket is not there is followed by one whose is."""
    nodes = (Node("front", None, True),)
    missing = Settings(engine="docker", engine_socket="/nowhere/docker.sock")
    with pytest.raises(EngineUnreachable) as raised, first_engine(nodes, 0, missing):
        pass
    assert str(raised.value).startswith("front: cannot reach the engine at /nowhere/docker.sock")
    assert str(raised.value).endswith("with --hostfile FILE, dgrid works on the first node with an engine")
    with pytest.raises(ManyNodesError) as many, first_engine((*nodes, Node("other", None, True)), 0, missing):
        pass
    assert [error.node for error in many.value.errors] == ["front", "other"]
