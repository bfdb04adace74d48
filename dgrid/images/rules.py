"""The rules themselves: from a View to Findings. Pure; what each rule is about stands in finding.RULES."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from dgrid.images.commands import SSHD_SETTINGS, command_line, root_work, sshd_port, sshd_starts, sudo_uses
from dgrid.images.finding import RULES, Finding, Severity
from dgrid.images.names import LOCAL
from dgrid.images.view import FileFacts, Kind, Need, Said, View

_Found = Iterator[tuple[Severity, str, str]]
_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_PRIVILEGED_PORTS = 1024
_SETUID, _SETGID = 0o4000, 0o2000


def findings_for(view: View) -> tuple[Finding, ...]:
    """Everything that is wrong with an image or a Dockerfile, in the order of the rules; each thing once."""
    found = (
        Finding(RULES[name], severity, place, what)
        for name, rule in _RULES.items()
        for severity, place, what in rule(view)
    )
    return tuple(dict.fromkeys(found))


def _volume(view: View) -> _Found:
    facts = {file.name: file for file in view.files if file.need is Need.WRITE}
    for volume in view.volumes:
        file = facts.get(volume.value)
        if file is None:
            if any(volume.value in run.value and re.search(_MADE_OURS, run.value) for run in view.runs):
                text = "the directory's owner was set before; VOLUME forgets what later steps do to it"
                yield _WARNING, volume.place, f"VOLUME {volume.value}: {text}"
            else:
                text = "its directory is root's, unless the image made it yours"
                severity = _WARNING if view.volumes_open else _ERROR
                yield severity, volume.place, f"VOLUME {volume.value}: {text}"
        elif file.shut or not file.allows(view.submitter, 2 | 1):
            yield _ERROR, volume.place, f"VOLUME {volume.value}: {_whose(file)}, and {_you(view)} cannot write there"


_MADE_OURS = r"\bchown\b|\bchmod\b|\binstall\b.*\s-o"


def _user(view: View) -> _Found:
    if view.user is None or not view.user.value:
        yield _WARNING, view.user.place if view.user else view.name, "no USER is set, so it was made to run as root"
    elif view.user.value.partition(":")[0] in ("root", "0"):
        yield _WARNING, view.user.place, f"USER {view.user.value}: it was made to run as root"


def _port(view: View) -> _Found:
    for port in view.ports:
        low = re.match(r"\d+", port.value)
        if low and 0 < int(low[0]) < _PRIVILEGED_PORTS:
            yield _WARNING, port.place, f"port {port.value} is exposed"


def _sshd(view: View) -> _Found:
    settings = {file.name: file for file in view.files}
    for text in _texts(view):
        for line, file, port in sshd_starts(text.value):
            known = settings.get(file)
            if port is None and known is not None and known.kind is Kind.FILE and known.text is not None:
                port = sshd_port(known.text)
            if port is None and known is None and file == SSHD_SETTINGS and not _sets_port(view):
                port = 22
            if port is not None and port < _PRIVILEGED_PORTS:
                yield _ERROR, _at(text, line), f"sshd is started on port {port}"


def _sets_port(view: View) -> bool:
    """Whether a RUN writes a port into some settings of sshd's."""
    return any("sshd" in run.value and re.search(r"Port\W+\d{4}", run.value) for run in view.runs)


def _sudo(view: View) -> _Found:
    for text in _texts(view):
        for line, command in sudo_uses(text.value):
            yield _ERROR, _at(text, line), f"{command} is used, and will be refused"
    for run in view.runs:
        if re.search(r"\b(?:install|add)\b[^&;]*\ssudo\b|/etc/sudoers|NOPASSWD", run.value):
            yield _WARNING, run.place, "sudo is installed or set up, and will be of no use"
        if re.search(r"\bchmod\s+(?:\S+\s+)*?(?:[ugoa]*\+[rwxt]*s|[2-7][0-7]{3}\b)", run.value):
            yield _WARNING, run.place, "a program is made setuid or setgid, and will not be"
    for file in view.files:
        if file.need is Need.RUN and file.mode is not None and file.mode & (_SETUID | _SETGID):
            yield _WARNING, file.place, f"{file.name} is setuid or setgid, and will not be"


def _root_work(view: View) -> _Found:
    for text in _texts(view):
        for work in root_work(text.value):
            severity = _ERROR if work.ends else _WARNING
            yield severity, _at(text, work.line), f"{work.command} is called, and will be refused"


def _entry(view: View) -> _Found:
    for file in view.files:
        if file.need in (Need.WRITE, Need.SETTINGS):
            continue
        who = f"the entry command's {file.name}"
        if file.kind is Kind.MISSING:
            yield _ERROR, file.place, f"{who} is not in the image"
        elif file.kind is Kind.DIRECTORY and file.need is Need.RUN:
            yield _ERROR, file.place, f"{who} is a directory"
        elif file.shut:
            yield _ERROR, file.place, f"{who} is in {file.shut}, which {_you(view)} cannot enter"
        elif not file.allows(view.submitter, _bits(file)):
            yield _ERROR, file.place, f"{_you(view)} cannot {file.need.value} {who}: {_whose(file)}"


def _bits(file: FileFacts) -> int:
    if file.need is Need.READ:
        return 4
    return 5 if file.text is not None else 1  # a script is read by its interpreter


def _architecture(view: View) -> _Found:
    said, node = view.architecture, view.node_architecture
    if said is not None and said.value and node and said.value != node:
        yield _ERROR, said.place, f"it is for {said.value}, and runs on {node}"


def _tag(view: View) -> _Found:
    for base in view.bases:
        name = base.value.rpartition("/")[2]
        if "@" in base.value or base.value.startswith(f"{LOCAL}/"):
            continue
        _, colon, tag = name.partition(":")
        if not colon or tag == "latest":
            yield _WARNING, base.place, f"{base.value}: {'the tag is latest' if colon else 'there is no tag'}"


def _buildkit(view: View) -> _Found:
    for said in view.buildkit:
        yield _WARNING, said.place, said.value


_RULES: dict[str, Callable[[View], _Found]] = {
    "volume": _volume,
    "user": _user,
    "port": _port,
    "sshd": _sshd,
    "sudo": _sudo,
    "root-work": _root_work,
    "entry": _entry,
    "architecture": _architecture,
    "tag": _tag,
    "buildkit": _buildkit,
}


def _texts(view: View) -> Iterator[Said]:
    """What the container runs first: its command, and the scripts among its files."""
    if view.entry:
        yield Said(command_line(view.entry), view.entry_place)
    for file in view.files:
        if file.text is not None and file.text.startswith("#!"):
            yield Said(file.text, file.place)


def _at(text: Said, line: int) -> str:
    return f"{text.place}:{line}" if text.value.startswith("#!") else text.place


def _you(view: View) -> str:
    return f"{view.submitter.name} (uid {view.submitter.uid})"


def _whose(file: FileFacts) -> str:
    if file.shut:
        return f"{file.shut} is closed"
    return f"it belongs to {file.uid}:{file.gid}, with mode {(file.mode or 0) & 0o7777:04o}"
