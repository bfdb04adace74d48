"""What `dgrid image check DIR` finds: for each rule Dockerfiles that break it, and ones that do not."""

from __future__ import annotations

import pytest
from builds import USER, build_context

from dgrid.errors import UsageError
from dgrid.images.check import check_directory
from dgrid.images.finding import RULES, Severity

ME = "ARG UID\nARG GID\nUSER ${UID}:${GID}\n"
ERROR, WARNING = Severity.ERROR, Severity.WARNING
SERVER = "#!/bin/sh\nset -e\n"

# rule: (Dockerfile, files, (severity, line or file:line, text)) ...
BREAKING = {
    "volume": [
        (f"VOLUME /data\n{ME}", {}, (ERROR, 2, "VOLUME /data: its directory is root's")),
        (f'VOLUME ["/a b"]\n{ME}', {}, (ERROR, 2, "VOLUME /a b:")),
        (f"ARG UID\nRUN install -d -o $UID /data\nVOLUME /data\n{ME}", {}, (WARNING, 4, "VOLUME forgets what later")),
    ],
    "user": [
        ("CMD true\n", {}, (WARNING, "", "no USER is set")),
        (f"{ME}RUN true\nUSER root\n", {}, (WARNING, 6, "USER root: it was made to run as root")),
        ("USER 0:0\n", {}, (WARNING, 2, "USER 0:0")),
        ("FROM a:1 AS x\nUSER 5\nFROM b:1\n", {}, (WARNING, "", "no USER is set")),
    ],
    "port": [
        (f"EXPOSE 8080 80\n{ME}", {}, (WARNING, 2, "port 80 is exposed")),
        (f"ENV P=443\nEXPOSE $P/tcp\n{ME}", {}, (WARNING, 3, "port 443/tcp is exposed")),
        (f"EXPOSE 1000-1100\n{ME}", {}, (WARNING, 2, "port 1000-1100")),
    ],
    "sshd": [
        (f'{ME}CMD ["/usr/sbin/sshd", "-D"]\n', {}, (ERROR, 5, "sshd is started on port 22")),
        (f"{ME}CMD exec /usr/sbin/sshd -D -p 22\n", {}, (ERROR, 5, "sshd is started on port 22")),
        (
            f'COPY sshd_config /etc/ssh/\n{ME}CMD ["/usr/sbin/sshd", "-D"]\n',
            {"sshd_config": "#Port 2222\n"},
            (ERROR, 6, "sshd is started on port 22"),
        ),
        (
            f'COPY serve /usr/local/bin/\n{ME}CMD ["serve"]\n',
            {"serve": f"{SERVER}exec /usr/sbin/sshd -D\n"},
            (ERROR, "serve:3", "sshd is started on port 22"),
        ),
    ],
    "sudo": [
        (f"RUN apt-get install -y vim \\\n  sudo && x\n{ME}", {}, (WARNING, 2, "sudo is installed or set up")),
        (f'RUN echo "%users ALL=(ALL) NOPASSWD: ALL" > /etc/sudoers.d/x\n{ME}', {}, (WARNING, 2, "sudo is installed")),
        (f"RUN chmod u+s /bin/prog\n{ME}", {}, (WARNING, 2, "made setuid or setgid")),
        (f"RUN chmod 4755 /bin/prog\n{ME}", {}, (WARNING, 2, "made setuid or setgid")),
        (f"{ME}CMD sudo service redis start\n", {}, (ERROR, 5, "sudo is used")),
        (f'{ME}CMD ["su", "-c", "x", "redis"]\n', {}, (ERROR, 5, "su is used")),
    ],
    "root-work": [
        (f"{ME}CMD chown -R redis /data && redis-server\n", {}, (ERROR, 5, "chown is called")),
        (
            f'COPY entry.sh /\n{ME}ENTRYPOINT ["/entry.sh"]\n',
            {"entry.sh": f'{SERVER}chown -R redis /data\nexec "$@"\n'},
            (ERROR, "entry.sh:3", "chown is called"),
        ),
        (
            f'COPY entry.sh /\n{ME}ENTRYPOINT ["/entry.sh"]\n',
            {"entry.sh": '#!/bin/sh\nchown redis /data\nexec "$@"\n'},
            (WARNING, "entry.sh:2", "chown is called"),
        ),
        (
            f'COPY bin /usr/local/bin/\n{ME}ENTRYPOINT ["tini", "--", "run.sh"]\n',
            {"bin/run.sh": f"{SERVER}exec gosu redis redis-server\n"},
            (ERROR, "bin/run.sh:3", "gosu is called"),
        ),
    ],
    "entry": [
        (
            f'COPY run.sh /run.sh\n{ME}CMD ["/run.sh"]\n',
            {"run.sh": "echo no shebang, so this file is not executable\n"},
            (ERROR, "run.sh", "dgridtest (uid 2001) cannot run the entry command's /run.sh"),
        ),
        (
            f'WORKDIR /app\nCOPY --chmod=0700 . .\n{ME}CMD ["/app/run.sh"]\n',
            {"run.sh": "#!/bin/sh\n"},
            (ERROR, "run.sh", "it belongs to 0:0, with mode 0700"),
        ),
    ],
    "architecture": [
        (f"FROM --platform=linux/arm64 debian:trixie-slim\n{ME}", {}, (ERROR, 1, "it is for arm64, and runs on amd64")),
    ],
    "tag": [
        (f"FROM python\n{ME}", {}, (WARNING, 1, "python: there is no tag")),
        (f"ARG BASE=hub:5000/x/python:latest\nFROM $BASE\n{ME}", {}, (WARNING, 2, "the tag is latest")),
        (f"FROM node AS build\nFROM debian:12\n{ME}", {}, (WARNING, 1, "node: there is no tag")),
    ],
    "buildkit": [
        (f"RUN --mount=type=cache,target=/x true\n{ME}", {}, (WARNING, 2, "RUN --mount needs BuildKit")),
        (f"COPY --chmod=755 Dockerfile /x\n{ME}", {}, (WARNING, 2, "COPY --chmod needs BuildKit")),
        (f"RUN <<EOF\ntrue\nEOF\n{ME}", {}, (WARNING, 2, "a here-document in RUN needs BuildKit")),
    ],
}
GUARDED = (
    '#!/bin/sh\nset -e\nif [ "$(id -u)" = 0 ]; then\n  chown redis .\n  exec gosu redis "$0" "$@"\nfi\nexec "$@"\n'
)
SOUND = {
    "volume": [("RUN install -d -o 2001 /data\n" + ME, {})],
    "user": [(ME, {}), ("FROM a:1 AS x\nUSER alice\nFROM x\n", {}), ("ARG USER1\nUSER $USER1\n", {})],
    "port": [(f"EXPOSE 1024 8080/udp\n{ME}", {})],
    "sshd": [
        (f'{ME}CMD ["/usr/sbin/sshd", "-D", "-p", "2222"]\n', {}),
        (f"RUN echo 'Port 2222' >> /etc/ssh/sshd_config\n{ME}CMD /usr/sbin/sshd -D\n", {}),
        (f"COPY sshd_config /etc/ssh/\n{ME}CMD /usr/sbin/sshd -D\n", {"sshd_config": "Port 2222\n"}),
        (f"{ME}CMD /usr/sbin/sshd -D -f /dgrid/ssh/sshd_config\n", {}),
    ],
    "sudo": [(f"RUN chmod 0755 /x && chmod 1777 /tmp && chmod a+rx /y\n{ME}CMD pseudo x\n", {})],
    "root-work": [
        (f'COPY entry.sh /\n{ME}ENTRYPOINT ["/entry.sh"]\n', {"entry.sh": GUARDED}),
        (
            f'COPY entry.sh /\n{ME}ENTRYPOINT ["/entry.sh"]\n',
            {"entry.sh": f"{SERVER}chown x /data || true\n# gosu x\n"},
        ),
        (f"RUN chown -R 5 /data\n{ME}", {}),
    ],
    "entry": [
        (f'COPY run.sh /\n{ME}CMD ["/run.sh"]\n', {"run.sh": "#!/bin/sh\n"}),
        (f'COPY run.sh /\nRUN chmod a+rx /run.sh\n{ME}CMD ["/run.sh"]\n', {"run.sh": "no shebang\n"}),
        (f'COPY run.sh /\n{ME}CMD ["bash", "/run.sh"]\n', {"run.sh": "no shebang\n"}),
    ],
    "architecture": [
        (f"FROM --platform=linux/amd64 debian:trixie-slim\n{ME}", {}),
        (f"FROM --platform=linux/arm64 a:1 AS other\nFROM debian:12\n{ME}", {}),
    ],
    "tag": [
        (f"FROM debian:trixie-slim AS x\nFROM x\n{ME}", {}),
        (f"FROM scratch\n{ME}", {}),
        (f"FROM python@sha256:{'0' * 64}\n{ME}", {}),
        (f"FROM localhost/alice/base\n{ME}", {}),
        (f"ARG BASE\nFROM $BASE\n{ME}", {}),
    ],
    "buildkit": [(f"COPY --chown=5 Dockerfile /x\n{ME}", {})],
}


def cases(table):
    return [
        pytest.param(rule, *case, id=f"{rule}-{index}")
        for rule, some in table.items()
        for index, case in enumerate(some)
    ]


def check(directory, body, files):
    build_context(directory, body, files)
    return check_directory(directory, None, USER, {}, "amd64")


@pytest.mark.parametrize(("rule", "body", "files", "expected"), cases(BREAKING))
def test_a_dockerfile_that_breaks_a_rule_is_told_where(tmp_path, rule, body, files, expected):
    """The finding has the rule, how bad it is, the line, and what is wrong."""
    severity, place, text = expected
    file = tmp_path / "Dockerfile"
    where = str(file) if place == "" else f"{file}:{place}" if isinstance(place, int) else str(tmp_path / place)
    found = [one for one in check(tmp_path, body, files) if one.rule.name == rule]
    assert [(one.severity, one.place) for one in found] == [(severity, where)]
    assert text in found[0].what


@pytest.mark.parametrize(("rule", "body", "files"), cases(SOUND))
def test_a_dockerfile_that_keeps_a_rule_is_left_alone(tmp_path, rule, body, files):
    """Nothing is said of that rule."""
    assert [one.what for one in check(tmp_path, body, files) if one.rule.name == rule] == []


def test_every_rule_is_broken_and_kept_by_some_dockerfile():
    """A rule added without its cases is noticed."""
    assert set(BREAKING) == set(SOUND) == set(RULES)


def test_what_dockerignore_names_is_not_copied(tmp_path):
    """So nothing is known of it."""
    files = {"run.sh": "not executable\n", ".dockerignore": "*.sh\n"}
    assert check(tmp_path, f'COPY . /\n{ME}CMD ["/run.sh"]\n', files) == ()


def test_without_a_dockerfile_the_message_says_where_it_was_looked_for(tmp_path):
    """And which command writes one."""
    with pytest.raises(UsageError) as raised:
        check_directory(tmp_path, None, USER, {})
    assert f"looked for {tmp_path / 'Dockerfile'}) — dgrid image init {tmp_path} writes one" in str(raised.value)
