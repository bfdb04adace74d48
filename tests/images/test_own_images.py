"""A user's images on this machine's Docker: listed, pushed, removed; and nobody else's."""

from __future__ import annotations

import http.server
import threading
import uuid
from contextlib import suppress

import docker
import pytest
from builds import USER

from dgrid.errors import ImageError, UsageError
from dgrid.images.own import own_images, push, push_refusal, remove


@pytest.fixture
def registry():
    """``registry(status)`` is the host:port of one that refuses everything so, on this machine's loopback."""
    servers = []

    def serve(status):
        class Refusing(http.server.BaseHTTPRequestHandler):
            def refuse(self):
                self.send_response(status)
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down, please"}]}')

            do_GET = do_HEAD = do_POST = refuse  # noqa: N815  # the names http.server wants

            def log_message(self, *_args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()


@pytest.fixture
def named(engine, make_image):
    """``named(name)`` gives an image of the user's another name, until the end."""
    names = []
    image = None

    def give(name):
        nonlocal image
        image = image or make_image("LABEL a=b\n")
        engine.api.tag(image, *name.rsplit(":", 1))
        names.append(name)
        return name

    yield give
    for name in names:
        with suppress(docker.errors.ImageNotFound):
            engine.images.remove(name, force=True)


def test_own_images_are_those_by_name_and_those_built(workshop, engine, make_image):
    """Newest first; not those of others; one whose name went to a later build is listed without."""
    made = make_image("LABEL number=1\n")
    image_id = engine.images.get(made).id.removeprefix("sha256:")
    engine.api.tag(made, "stranger", "1")
    try:
        listed = {(one.name, one.image_id) for one in own_images(workshop, USER.name)}
        assert {(made, image_id), ("stranger:1", image_id)} <= listed  # built by the user, whatever it is called
        assert [one for one in own_images(workshop, "nobodyelse") if one.image_id == image_id] == []
    finally:
        engine.images.remove("stranger:1")


def test_images_of_others_are_not_removed(workshop):
    """The message says which are one's own."""
    with pytest.raises(UsageError) as raised:
        remove(workshop, "debian:trixie-slim", USER.name)
    assert str(raised.value).startswith("debian:trixie-slim: this image is not yours; yours have dgridtest/ in")


def test_an_image_in_use_stays_and_the_user_learns_by_what(workshop, engine, make_image):
    """The container, and the run it belongs to; after it is gone the image can be removed."""
    image = make_image(f'LABEL unique="{uuid.uuid4()}"\nCMD sleep 60\n')
    labels = {"io.dgrid.session": "k3x9"}
    container = engine.containers.create(image, name=f"test-in-use-{uuid.uuid4().hex[:6]}", labels=labels)
    try:
        with pytest.raises(ImageError) as raised:
            remove(workshop, image, USER.name)
        assert raised.value.what == (
            f"{image} is in use by the container {container.name} of the run k3x9 (created); "
            "remove it when that has ended and removed"
        )
    finally:
        container.remove(force=True)


def test_a_removed_image_is_gone(workshop, engine, named):
    """By name: only that name, if there are others."""
    extra = named("localhost/dgridtest/extra:1")
    remove(workshop, extra, USER.name)
    assert [one for one in own_images(workshop, USER.name) if one.name == extra] == []


def test_what_is_not_there_cannot_be_removed(workshop):
    """And the message says where to look."""
    with pytest.raises(ImageError) as raised:
        remove(workshop, "localhost/dgridtest/nothing:1", USER.name)
    assert "there is no image localhost/dgridtest/nothing:1; dgrid image list shows" in str(raised.value)


@pytest.mark.parametrize(
    ("status", "words", "remedy"),
    [
        (401, "no basic auth credentials", "log in first: docker login {host}"),
        (429, "slow down, please", "the registry wants you to wait; try again later"),
    ],
)
def test_a_registrys_refusal_is_told_in_its_words(workshop, registry, named, status, words, remedy):
    """With what to do about it."""
    host = registry(status)
    name = named(f"{host}/dgridtest/pushed:1")
    with pytest.raises(ImageError) as raised:
        push(workshop, name, USER.name, lambda _text: None)
    said = raised.value.what
    assert said.startswith(f"cannot push {name}: {host} says: ")
    assert words in said.lower()
    assert said.endswith(f" — {remedy.format(host=host)}")


def test_a_missing_credential_helper_is_told_as_such(workshop, named, tmp_path, monkeypatch):
    """It is the user's own settings that name it, and no engine or registry is to blame."""
    name = named("127.0.0.1:9/dgridtest/pushed:1")
    (tmp_path / "config.json").write_text('{"credHelpers": {"127.0.0.1:9": "dgridtest"}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(ImageError) as raised:
        push(workshop, name, USER.name, lambda _text: None)
    assert raised.value.what.startswith(
        "your registry logins cannot be read (docker-credential-dgridtest not installed or not available in PATH) — "
        "~/.docker/config.json names that helper"
    )


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("denied: requested access to the resource is denied", "you may not write there; log in (docker login hub:1)"),
        ("name unknown: The project group does not exist", "the registry knows no such place"),
        ("http: server gave HTTP response to HTTPS client", "the administrators can name it in insecure-registries"),
        ("dial tcp: lookup hub: no such host", "is hub:1 right, and up?"),
        ("unauthorized: authentication required", "log in first: docker login hub:1"),
    ],
)
def test_what_registries_say_has_a_remedy(words, remedy):
    """The words come first, as they are."""
    said = push_refusal("hub:1/alice/x:1", "hub:1", words)
    assert said.startswith(f"cannot push hub:1/alice/x:1: hub:1 says: {words} — ")
    assert remedy in said


def test_an_image_without_a_registry_cannot_be_pushed(workshop):
    """The message says how to give it one."""
    with pytest.raises(UsageError) as raised:
        push(workshop, "localhost/dgridtest/x:1", USER.name, lambda _text: None)
    assert "build it with --registry HOST:PORT" in str(raised.value)
