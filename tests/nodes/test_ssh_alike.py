"""One question to `ssh -G` for hosts that the settings do not tell apart, and one each for those they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgrid.nodes import ssh_alike
from dgrid.nodes.ssh_alike import SettingsOfHosts

ANSWER = "host {host}\nhostname {host}\nuser alice\nport 22\nuserknownhostsfile ~/.ssh/known_hosts\n"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that `ssh -G` was asked for; its answers have their names."""
    hosts: list[str] = []

    def ask(host: str) -> str:
        hosts.append(host)
        return ANSWER.format(host=host)

    monkeypatch.setattr(ssh_alike, "ask_ssh", ask)
    return hosts


def settings(home: Path, config: str | None) -> SettingsOfHosts:
    (home / ".ssh").mkdir()
    if config is not None:
        (home / ".ssh/config").write_text(config)
    return SettingsOfHosts(home)


@pytest.mark.parametrize("config", [None, "", "Host *\n  User alice\n", "Host login\n Port 2222\nHost *\n"])
def test_hosts_that_are_alike_are_asked_for_once(asked: list[str], tmp_path: Path, config: str | None) -> None:
    """Each gets the settings under its own name."""
    of = settings(tmp_path, config)
    assert [of(name).host for name in ("n1", "n2", "n3")] == ["n1", "n2", "n3"]
    assert of("n2").known_as == "n2"
    assert asked == ["n1"]


@pytest.mark.parametrize("line", ["Host n2", "Host n? !n2", "Host=n1", 'Host "n2" other', "Host\tn2", " host = n2"])
def test_a_host_line_that_names_one_tells_it_apart(asked: list[str], tmp_path: Path, line: str) -> None:
    """n1 and n2 are asked for, n3 is like one of them."""
    of = settings(tmp_path, f"{line}\n  Port 2222\n")
    assert [of(name).host for name in ("n1", "n2", "n3")] == ["n1", "n2", "n3"]
    assert asked == ["n1", "n2"]


@pytest.mark.parametrize(
    "config",
    ["Match exec true\n User x\n", "CanonicalizeHostname yes\n", "Include ~/%h\n", "Include more\n", 'Host "a\n'],
)
def test_each_is_asked_for_where_that_cannot_be_known(asked: list[str], tmp_path: Path, config: str) -> None:
    """Match may run a command, and names may be changed."""
    of = settings(tmp_path, config)
    (tmp_path / ".ssh/more").write_text("Match host n2\n")
    assert [of(name).host for name in ("n1", "n2", "n3")] == ["n1", "n2", "n3"]
    assert asked == ["n1", "n2", "n3"]


def test_a_name_within_another_value_is_asked_for(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a token would bring it into HostKeyAlias."""
    monkeypatch.setattr(ssh_alike, "ask_ssh", lambda host: ANSWER.format(host=host) + f"hostkeyalias {host}.site\n")
    of = settings(tmp_path, None)
    assert [of(name).known_as for name in ("n1", "n2")] == ["n1.site", "n2.site"]


def test_home_is_the_accounts(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ssh does not look at $HOME either."""
    monkeypatch.setenv("HOME", "/nowhere")
    of = settings(tmp_path, "Include ~/more\n")
    (tmp_path / "more").write_text("Host n2\n")
    assert [of(name).host for name in ("n1", "n2", "n3")] == ["n1", "n2", "n3"]
    assert asked == ["n1", "n2"]


def test_names_with_capitals_are_asked_for(asked: list[str], tmp_path: Path) -> None:
    """ssh tells them from small letters."""
    of = settings(tmp_path, "Host NODE1\n Port 2222\n")
    assert [of(name).host for name in ("NODE1", "NODE2")] == ["NODE1", "NODE2"]
    assert asked == ["NODE1", "NODE2"]
