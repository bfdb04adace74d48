"""What a worker of the mail-relays example counts."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from typing import Any

import bson
from by_hand import MAIL_RELAYS, Records
from pymongo import MongoClient

Counts = dict[str, dict[str, int]]


def analyse(address: str, month: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """data_analysis.py as the head calls it, with the secret on stdin."""
    script = MAIL_RELAYS / "data_analysis.py"
    command = [sys.executable, script, address, "sendmail", "logins", month, *arguments]
    return subprocess.run(command, capture_output=True, text=True, input="secret\n", timeout=100)


def brute_force(records: list[dict[str, Any]], month: str) -> Counts:
    """The same counts in another way: for each user and day, all records are gone through."""
    counts: Counts = {}
    for user in {record["authid"] for record in records}:
        for day in (f"{month}-{number:02}" for number in range(1, 32)):
            relays = {r["relay"] for r in records if r["authid"] == user and str(r["dstamp"])[:10] == day}
            if relays:
                counts.setdefault(user, {})[day] = len(relays)
    return counts


def test_counts_are_those_of_brute_force(standin: str, client: MongoClient, make_records: Records) -> None:
    """For each month, also December, a worker's counts are what going through all records by hand gives."""
    records = bson.decode_all(make_records("--records", "1200", "--months", "13", "--users", "4").read_bytes())
    client.sendmail.logins.insert_many([dict(record) for record in records])
    for month in ("2016-01", "2016-02", "2016-12", "2017-01"):
        done = analyse(standin, month)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == brute_force(records, month)


def test_a_month_begins_and_ends_at_midnight(standin: str, client: MongoClient) -> None:
    """The month's first and last millisecond count; those next to them do not. A relay counts once a day."""
    times = [
        datetime(2016, 1, 31, 23, 59, 59, 999000),
        datetime(2016, 2, 1),
        datetime(2016, 2, 1, 12),
        datetime(2016, 2, 29, 23, 59, 59, 999000),
        datetime(2016, 3, 1),
    ]
    client.sendmail.logins.insert_many([{"authid": "bob", "relay": "r", "dstamp": time} for time in times])
    assert json.loads(analyse(standin, "2016-02").stdout) == {"bob": {"2016-02-01": 1, "2016-02-29": 1}}


def test_a_database_that_refuses_is_an_error_with_its_words(standin: str) -> None:
    """A log-in that the database refuses ends with 1; stderr has its address and words, and not the password."""
    done = analyse(standin, "2016-01", "--user", "bob")
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"database {standin}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
