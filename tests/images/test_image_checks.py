"""What `dgrid image check IMAGE` finds: for each rule an image, built here, that breaks it, and one that does not."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from builds import USER

from dgrid.errors import ImageError
from dgrid.images.check import check_image
from dgrid.images.finding import RULES, Severity
from dgrid.images.look import LABEL_LOOK
from dgrid.images.planning import planning_findings

ERROR, WARNING = Severity.ERROR, Severity.WARNING
# As where the one who builds is another user than the one who runs.
MINE = "USER 2001:2002\n"

# rule: (Dockerfile, files, what is expected: severity, place behind the image's name, text)
BREAKING = {
    "volume": ("RUN install -d -m 755 /data\nVOLUME /data\n", {}, (ERROR, "", "it belongs to 0:0, with mode 0755")),
    "user": ("LABEL a=b\n", {}, (WARNING, "", "no USER is set")),
    "port": ("EXPOSE 80\n", {}, (WARNING, "", "port 80/tcp is exposed")),
    "sshd": (
        "COPY sshd /usr/sbin/\nCOPY sshd_config /etc/ssh/\nCOPY serve /\nCMD /serve\n",
        {"sshd": "#!/bin/true", "sshd_config": "Port 22\n", "serve": "#!/bin/sh\nexec /usr/sbin/sshd -D\n"},
        (ERROR, ":/serve:2", "sshd is started on port 22"),
    ),
    "sudo": ("COPY run /\nCMD /run\n", {"run": "#!/bin/sh\n\nsudo redis\n"}, (ERROR, ":/run:3", "sudo is used")),
    "root-work": (
        'COPY run /usr/local/bin/\nENTRYPOINT ["run"]\n',
        {"run": '#!/bin/sh -e\nchown x /y\nexec "$@"\n'},
        (ERROR, ":/usr/local/bin/run:2", "chown is called"),
    ),
    "entry": (
        "RUN mkdir -m 700 /closed && cp /bin/true /closed && ln -s /closed/true /usr/local/bin/mine\nCMD mine\n",
        {},
        (ERROR, ":/usr/local/bin/mine", "mine is in /closed, which dgridtest (uid 2001) cannot enter"),
    ),
}  # fmt: skip
SOUND = {
    "volume": ("RUN install -d -m 775 -g 3003 /data\nVOLUME /data\n", {}),
    "user": (MINE, {}),
    "port": ("EXPOSE 1024\n", {}),
    "sshd": (
        "COPY sshd /usr/sbin/\nCOPY serve conf /\nCMD /serve\n",
        {"sshd": "#!/bin/true", "conf": "Port 2222\n", "serve": "#!/bin/sh\nexec /usr/sbin/sshd -D -f /conf\n"},
    ),
    "sudo": ("COPY run /\nCMD /run\n", {"run": '#!/bin/sh\n[ "$(id -u)" != 0 ] || sudo -u redis redis\n'}),
    "root-work": (
        'COPY run /\nENTRYPOINT ["/run"]\nCMD ["true"]\n',
        {"run": '#!/bin/sh -e\nif [ "$(id -u)" = 0 ]; then\n  chown x /y\nfi\nexec "$@"\n'},
    ),
    "entry": (
        'RUN mkdir -m 750 /mine && chgrp 3003 /mine && install /bin/true /mine/x\nENV PATH=/mine:/bin\nCMD ["x"]\n',
        {},
    ),
}


@pytest.mark.parametrize("rule", BREAKING)
def test_an_image_that_breaks_a_rule_is_told_where(workshop, make_image, rule):
    """The finding has the rule, how bad it is, the place in the image, and what is wrong."""
    body, files, (severity, place, text) = BREAKING[rule]
    image = make_image(body, **files)
    found = [one for one in check_image(workshop, image, USER) if one.rule.name == rule]
    assert [(one.severity, one.place) for one in found] == [(severity, image + place)]
    assert text in found[0].what


@pytest.mark.parametrize("rule", SOUND)
def test_an_image_that_keeps_a_rule_is_left_alone(workshop, make_image, rule):
    """Nothing is said of that rule."""
    body, files = SOUND[rule]
    image = make_image(body, **files)
    assert [one.what for one in check_image(workshop, image, USER) if one.rule.name == rule] == []


def test_an_image_of_another_architecture_is_told(workshop, engine, make_image):
    """The image itself made here is not; the same with another architecture in its configuration is."""
    image = make_image(MINE)
    assert check_image(workshop, image, USER) == ()
    foreign = with_architecture(engine, image, "s390x")
    try:
        (found,) = check_image(workshop, foreign, USER)
    finally:
        engine.images.remove(foreign, force=True)
    assert (found.rule.name, found.severity) == ("architecture", ERROR)
    assert found.what == f"it is for s390x, and runs on {workshop.engine.info.architecture}"


def test_an_image_without_a_tag_is_told(workshop, engine, make_image):
    """By the name it is asked for: the same image with a version, or under localhost/, is left alone."""
    engine.api.tag(make_image(MINE), "dgridtest-tagged", "1")
    engine.api.tag("dgridtest-tagged:1", "dgridtest-tagged", "latest")
    try:
        (found,) = check_image(workshop, "dgridtest-tagged", USER)
        assert (found.rule.name, found.severity) == ("tag", WARNING)
        assert check_image(workshop, "dgridtest-tagged:1", USER) == ()
    finally:
        engine.images.remove("dgridtest-tagged:1")
        engine.images.remove("dgridtest-tagged:latest")


def test_every_rule_for_images_has_its_cases():
    """Architecture and tag have tests of their own; buildkit is about Dockerfiles only."""
    assert set(BREAKING) == set(SOUND) == set(RULES) - {"architecture", "tag", "buildkit"}


@pytest.mark.parametrize(
    ("body", "files", "text"),
    [
        ('CMD ["/nowhere"]\n', {}, "/nowhere is not in the image"),
        ('CMD ["nowhere"]\n', {}, "nowhere is not in the image"),
        ("COPY run /\nCMD /run\n", {"run": "#!/bin/zsh\n"}, "/bin/zsh is not in the image"),
        ('CMD ["/etc"]\n', {}, "/etc is a directory"),
        ("RUN cp /bin/true /x && chmod 744 /x\nCMD /x\n", {}, "cannot run the entry command's /x: it belongs to 0:0"),
        ('COPY run /\nENTRYPOINT ["/run"]\nCMD ["gone"]\n', {"run": '#!/bin/sh\nexec "$@"\n'}, "gone is not in"),
        ("RUN ln -s /loop /loop\nCMD /loop\n", {}, "/loop is not in the image"),
        ("RUN cp /bin/true /x && chmod 4755 /x\nCMD /x\n", {}, "/x is setuid or setgid, and will not be"),
    ],
)  # fmt: skip
def test_entry_commands_that_cannot_run_are_told(workshop, make_image, body, files, text):
    """What is missing, with the interpreters of scripts; what is closed; what only seems to have root's powers."""
    found = check_image(workshop, make_image(body + MINE, **files), USER)
    assert [text in one.what for one in found] == [True]


def test_nothing_is_left_of_looking_into_an_image(workshop, engine, make_image):
    """No container, and no volume of those it declares, also after many files were looked at."""
    image = make_image("RUN install -d -o 2001 /data\nVOLUME /data /other\n" + MINE)
    before = {volume.id for volume in engine.volumes.list()}
    for _ in range(3):
        check_image(workshop, image, USER)
    left = [volume for volume in engine.volumes.list() if volume.id not in before and "io.dgrid" in str(volume.attrs)]
    assert engine.containers.list(all=True, filters={"label": LABEL_LOOK}) == []
    assert left == []


def test_an_image_that_is_not_there_is_told(workshop):
    """With what to do."""
    with pytest.raises(ImageError) as raised:
        check_image(workshop, "localhost/dgridtest/nothing:1", USER)
    assert str(raised.value) == (
        "here: there is no image localhost/dgridtest/nothing:1; pull or build it first, or give a directory"
    )


def test_planning_tells_what_an_image_says_without_looking_into_it():
    """Volumes only where nothing is mounted, low ports only on the nodes' network, commands only the image's own."""
    config = {"Volumes": {"/data": {}}, "ExposedPorts": {"80/tcp": {}}, "Cmd": ["/bin/sh", "-c", "sudo x"]}
    inspected = {"Architecture": "arm64", "Config": config}

    def names(*args, **kwargs):
        return [(one.rule.name, one.severity) for one in planning_findings("x:1", inspected, USER, *args, **kwargs)]

    assert names("amd64") == [("volume", WARNING), ("port", WARNING), ("sudo", ERROR), ("architecture", ERROR)]
    assert names("arm64", ("true",), mounted=("/data",), host_network=False) == []


def with_architecture(engine, image, architecture):
    """A copy of an image whose configuration names another architecture; its name."""
    name = image.rpartition(":")[0] + ":foreign"
    saved = io.BytesIO(b"".join(engine.images.get(image).save(named=True)))
    changed = io.BytesIO()
    with tarfile.open(fileobj=saved) as old, tarfile.open(fileobj=changed, mode="w") as new:
        (manifest,) = json.load(old.extractfile("manifest.json"))
        for member in old.getmembers():
            content = old.extractfile(member).read() if member.isreg() else None
            if member.name == manifest["Config"]:
                content = json.dumps(json.loads(content) | {"architecture": architecture}).encode()
            if member.name == "manifest.json":
                content = json.dumps([manifest | {"RepoTags": [name]}]).encode()
            if member.name == "repositories":
                continue
            member.size = len(content or b"")
            new.addfile(member, io.BytesIO(content or b""))
    engine.images.load(changed.getvalue())
    return name
