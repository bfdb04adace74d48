"""What click takes for a person's wish to stop."""

from __future__ import annotations

import click
import pytest

from dgrid.cli import main


@pytest.mark.parametrize(("error", "ends_with"), [(KeyboardInterrupt(), SystemExit), (EOFError("bug"), EOFError)])
def test_ctrl_c_ends_with_130_and_an_end_of_file_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, ends_with: type[BaseException]
) -> None:
    """Nothing asks a person; an end that nobody expected is not to look like ctrl-C."""

    @click.command()
    def fails() -> None:
        raise error

    monkeypatch.setattr(main, "dgrid", fails)
    monkeypatch.setattr("sys.argv", ["dgrid"])
    with pytest.raises(ends_with) as caught:
        main.entry()
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 130
