"""Settings of the site and the user."""

import pytest

from dgrid.config import Settings, read_settings
from dgrid.errors import UsageError


@pytest.fixture
def read(tmp_path):
    """Settings from files with the given contents, in this order; None is a file that is not there."""

    def settings(*contents):
        files = [tmp_path / f"{index}.toml" for index in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            if content is not None:
                file.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_settings(files)

    return settings


def test_without_files_there_are_defaults(read):
    """Missing files are no error."""
    assert read(None, None) == Settings()


def test_an_empty_file_changes_nothing(read):
    """Nor does one with comments only."""
    assert read("", "# nothing\n[nodes]\n") == Settings()


def test_later_files_win_key_by_key(read):
    """The user's file leaves the site's other settings alone."""
    site = '[nodes]\nlink = "openssh"\nparallel = 8\n'
    user = '[nodes]\nparallel = 16\ngrace_s = 2\nengine_socket = "/srv/docker.sock"\n'
    assert read(site, user) == Settings(link="openssh", parallel=16, grace_s=2.0, engine_socket="/srv/docker.sock")


def test_a_whole_number_is_a_time_too(read):
    """Times are seconds, with or without a fraction; the grace may be none at all."""
    found = read("[nodes]\ngrace_s = 0\nconnect_timeout_s = 2.5\npull_timeout_s = 60\n")
    assert (found.grace_s, found.connect_timeout_s, found.pull_timeout_s) == (0.0, 2.5, 60.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[nodes\n", "this is not TOML: "),
        (b"\xff\xfe\x00\x01", "this is not TOML: it is not UTF-8 text"),
        ("parallel = 3\n", "there is no setting parallel; all settings stand in the table [nodes]"),
        ("nodes = 3\n", "nodes is a table: write [nodes] on a line of its own, and settings below it"),
        ("[nodes]\nparalel = 3\n", "there is no setting nodes.paralel; there are: link, carrier, engine, "),
        ('[nodes]\nlink = "rsh"\n', "nodes.link is one of auto, paramiko, openssh"),
        ("[nodes]\nlink = []\n", "nodes.link is one of auto, paramiko, openssh"),
        ('[nodes]\nengine = "Docker"\n', "nodes.engine is one of auto, docker, podman"),
        ("[nodes]\nparallel = 0\n", "nodes.parallel cannot be 0; it is a whole number from 1 on"),
        ("[nodes]\nparallel = 1.5\n", "nodes.parallel cannot be 1.5; "),
        ("[nodes]\nparallel = inf\n", "nodes.parallel cannot be inf; "),
        ("[nodes]\nparallel = nan\n", "nodes.parallel cannot be nan; "),
        ("[nodes]\nparallel = true\n", "nodes.parallel cannot be True; "),
        ("[nodes]\ngrace_s = -1\n", "nodes.grace_s cannot be -1; it is a number of seconds, 0 or more"),
        ("[nodes]\ngrace_s = inf\n", "nodes.grace_s cannot be inf; "),
        ("[nodes]\ncall_timeout_s = nan\n", "nodes.call_timeout_s cannot be nan; "),
        ("[nodes]\ncall_timeout_s = 0\n", "nodes.call_timeout_s cannot be 0; it is a number of seconds above 0"),
        ('[nodes]\nconnect_timeout_s = "10"\n', "nodes.connect_timeout_s cannot be '10'; "),
        ("[nodes]\nengine_socket = 1\n", "nodes.engine_socket cannot be 1; it is a text"),
        (
            '[nodes]\ncarrier = "srun \'x"\n',
            'nodes.carrier cannot be "srun \'x"; it is a command, quoted as for a shell',
        ),
        ("[nodes]\ncarrier = 1\n", "nodes.carrier cannot be 1; it is a command"),
    ],
)
def test_each_mistake_has_its_message(read, content, message):
    """File and key are named, and what would be right; the exit code is that of wrong usage."""
    with pytest.raises(UsageError) as caught:
        read(content)
    assert str(caught.value).partition(": ")[2].startswith(message)
    assert str(caught.value).partition(": ")[0].endswith("0.toml")
    assert caught.value.exit_code == 2


def test_a_directory_in_the_place_of_the_file_is_told(tmp_path):
    """With the system's own reason."""
    with pytest.raises(UsageError, match=r"cannot be read \(Is a directory\)"):
        read_settings([tmp_path])


def test_a_lease_that_no_heartbeat_can_keep(tmp_path):
    """It would end healthy runs: told with both numbers."""
    file = tmp_path / "config.toml"
    file.write_text("[nodes]\nheartbeat_s = 20\n")
    with pytest.raises(UsageError, match=r"nodes.lease_s, 15 s, is too short for a heartbeat_s of 20 s"):
        read_settings([file])
