"""The whole mail-relays job with plain docker commands: what the example does is right, whoever starts it."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import bson
import pytest
from by_hand import MAIL_RELAYS, Hand, Images, Records
from relay_tables import read_tables

# As in the definition that users of the first dgrid began with.
ENVIRONMENT = {
    "DBUSER": "user",
    "DBNAME": "sendmail",
    "DBPASS": "password",
    "COLLECTION": "logins",
    "DB_PORT": "27017",
    "DUMPFILE": "/dump.bson",
    "HOSTFILE": "/hostfile.json",
}
DATABASE = ("MONGODB_USER=user", "MONGODB_DATABASE=sendmail", "MONGODB_PASS=password", "AUTH=no")


def run_head(hand: Hand, images: Images, dump: Path, hosts: dict, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The head container, with the hostfile that dgrid would write."""
    hostfile = tmp_path / "hostfile.json"
    hostfile.write_text(json.dumps(hosts))
    files = {MAIL_RELAYS / "mongo_job.py": "/mongo_job.py", dump: "/dump.bson", hostfile: "/hostfile.json"}
    options = [part for source, target in files.items() for part in ("--volume", f"{source}:{target}:ro")]
    options += [part for name, value in ENVIRONMENT.items() for part in ("--env", f"{name}={value}")]
    return hand.call(images.pyssh, "python", "-u", "/mongo_job.py", options=tuple(options))


def start_others(hand: Hand, images: Images, script: Path = MAIL_RELAYS / "data_analysis.py") -> dict[str, list[str]]:
    """Two workers and the database; the hostfile's content."""
    script_mount = ("--volume", f"{script}:/data_analysis.py:ro")
    workers = [hand.run(f"worker-{index}", images.pyssh, options=script_mount) for index in (1, 2)]
    settings = tuple(part for setting in DATABASE for part in ("--env", setting))
    return {"workers": workers, "database": [hand.run("database", images.mongodb, options=settings)]}


def test_head_prints_the_right_counts(hand: Hand, images: Images, make_records: Records, tmp_path: Path) -> None:
    """The tables of three months, counted by two workers in turn, are what going through the dump gives."""
    dump = make_records("--records", "3000", "--months", "3", "--users", "5")
    done = run_head(hand, images, dump, start_others(hand, images), tmp_path)
    assert done.returncode == 0, done.stderr
    relays = defaultdict(set)
    for record in bson.decode_all(dump.read_bytes()):
        relays[record["authid"], str(record["dstamp"])[:10]].add(record["relay"])
    assert read_tables(done.stdout) == {place: len(names) for place, names in relays.items()}
    assert re.findall(r"counted by (\S+)", done.stdout) == ["worker-1", "worker-2", "worker-1"]
    assert "was the password stolen?" in done.stdout


def test_the_screen_says_that_it_is_not_mongodb(
    hand: Hand, images: Images, make_records: Records, tmp_path: Path
) -> None:
    """Both the database's and the head's output begin with saying that this is a stand-in."""
    done = run_head(hand, images, make_records("--records", "10"), start_others(hand, images), tmp_path)
    assert "stand-in for MongoDB, not MongoDB" in done.stdout.splitlines()[0]
    assert "stand-in for MongoDB, not MongoDB" in hand.logs("database").splitlines()[0]


def test_two_runs_print_the_same(hand: Hand, images: Images, make_records: Records, tmp_path: Path) -> None:
    """A second run over the same records, into a database that has them already, prints the same."""
    dump, hosts = make_records("--records", "400"), start_others(hand, images)
    first, second = (run_head(hand, images, dump, hosts, tmp_path) for _ in range(2))
    assert first.returncode == 0
    assert first.stdout == second.stdout


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        (
            {"workers": ["worker-1"]},
            "mongo_job.py: neither the environment nor the tags of the hostfile have 'database'",
        ),
        ({"workers": [], "database": ["database"]}, "mongo_job.py: the hostfile lists no workers"),
    ],
)
def test_a_hostfile_that_lacks_something(
    hand: Hand, images: Images, make_records: Records, tmp_path: Path, hosts: dict, message: str
) -> None:
    """Without a database or without workers the head ends with 1 and says what is missing."""
    start_others(hand, images)
    done = run_head(hand, images, make_records("--records", "10"), hosts, tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == message


def test_a_dump_that_is_no_bson(hand: Hand, images: Images, tmp_path: Path) -> None:
    """A broken dump ends the job with 1 and a sentence that names the file."""
    dump = tmp_path / "broken.bson"
    dump.write_bytes(b"\x20\0\0\0 not BSON")
    done = run_head(hand, images, dump, start_others(hand, images), tmp_path)
    assert done.returncode == 1
    assert "mongo_job.py: /dump.bson is not a stream of BSON documents" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failing_worker_is_named(hand: Hand, images: Images, make_records: Records, tmp_path: Path) -> None:
    """A worker whose count fails ends the job with 1; the message has its name, the month and what it said."""
    broken = tmp_path / "data_analysis.py"
    broken.write_text("import sys; sys.exit('out of luck')")
    hosts = start_others(hand, images, broken)
    done = run_head(hand, images, make_records("--records", "10", "--months", "1"), hosts, tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == "mongo_job.py: worker-1: counting 2016-01 ended with 1: out of luck"
