"""The directory of an OpenSSH link's sockets: made for it alone, and gone with dgrid however that ends."""

import stat
import time

import pytest

from dgrid.nodes.link_openssh import _make_kept

# The first time something has just come into the directory, as ssh's socket does while it logs in.
FAKE_RM = """#!/bin/sh
for directory; do :; done
[ -e {mark} ] || {{ touch {mark}; exit 1; }}
exec /bin/rm -rf "$directory"
"""


def test_it_goes_with_the_process_that_made_it(tmp_path):
    """The end of the keeper's input, which is also dgrid's death, removes it; before that it is the user's alone."""
    directory = tmp_path / "scratch"
    keeper = _make_kept(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    keeper.communicate()
    assert not directory.exists()


def test_it_goes_though_ssh_is_still_at_it(tmp_path, monkeypatch):
    """Killed while ssh logs in, dgrid left the directory: what had come into it made the removal fail."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/rm").write_text(FAKE_RM.format(mark=tmp_path / "tried"))
    (tmp_path / "bin/rm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    directory = tmp_path / "scratch"
    keeper = _make_kept(directory)
    keeper.communicate()
    assert not directory.exists()


def test_what_has_its_name_already_stays(tmp_path):
    """A directory that is there is nobody's to remove."""
    with pytest.raises(FileExistsError):
        _make_kept(tmp_path)
    time.sleep(0.2)
    assert tmp_path.exists()
