"""The records of the mail-relays example."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import bson
import pytest
from by_hand import MAIL_RELAYS, Records


def test_same_arguments_make_same_bytes(make_records: Records) -> None:
    """Two runs with the same seed give the same file; another seed gives another."""
    first, second = make_records("--records", "500"), make_records("--records", "500")
    other = make_records("--records", "500", "--seed", "2")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_records_are_bson_with_the_three_fields(make_records: Records) -> None:
    """MongoDB's own decoder reads as many records as were asked for, spread evenly over the months."""
    path = make_records("--records", "1001", "--users", "15", "--months", "14")
    records = bson.decode_all(path.read_bytes())
    assert len(records) == 1001
    assert {tuple(record) for record in records} == {("authid", "relay", "dstamp")}
    months = Counter(record["dstamp"].strftime("%Y-%m") for record in records)
    assert len(months) == 14
    assert (min(months), max(months)) == ("2016-01", "2017-02")
    assert set(months.values()) == {71, 72}
    assert len({record["authid"] for record in records}) == 15


@pytest.mark.parametrize("arguments", [("--records", "0"), ("--users", "-1"), ("--months", "x")])
def test_senseless_numbers_are_refused(arguments: tuple[str, str], tmp_path: Path) -> None:
    """Numbers below one end with 2, a message that names the option, and no output."""
    command = [sys.executable, MAIL_RELAYS / "make_logins.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert arguments[0] in done.stderr
    assert done.stdout == ""
