#!/usr/bin/env python3
"""Makes up a mail server's login records: who logged in through which relay, and when.

    ./make_logins.py --records 6000 > logins.bson

The output is a stream of BSON documents, as mongodump writes it, with the fields ``authid`` (the user), ``relay``
(an address out of RFC 5737's ranges for documentation) and ``dstamp`` (when, UTC). The same arguments give the same
bytes. Most users come through a few relays only; two had their password stolen and, on one day in each month, come
through dozens: that is what the job is to find. Needs nothing but Python.

Source of the format: https://bsonspec.org/spec.html
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj")
FIRST_YEAR = 2016
DAY_MS = 24 * 3600 * 1000
STOLEN_USERS = 2
SPAM_SHARE = 0.02

Record = tuple[str, str, datetime]


def encode(authid: str, relay: str, dstamp: datetime) -> bytes:
    """One record as a BSON document."""
    milliseconds = round(dstamp.timestamp() * 1000)
    fields = text_field("authid", authid) + text_field("relay", relay)
    fields += b"\x09dstamp\0" + struct.pack("<q", milliseconds)
    return struct.pack("<i", len(fields) + 5) + fields + b"\0"


def text_field(name: str, text: str) -> bytes:
    value = text.encode() + b"\0"
    return b"\x02" + name.encode() + b"\0" + struct.pack("<i", len(value)) + value


def month_start(number: int) -> datetime:
    """The first moment of the number-th month after January 2016."""
    return datetime(FIRST_YEAR + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def user_names(users: int) -> list[str]:
    return [NAMES[i] if i < len(NAMES) else f"user{i + 1}" for i in range(users)]


def make_records(records: int, users: int, months: int, seed: int) -> Iterator[Record]:
    """The records, in order of time within each month.

    Only ``random()`` is drawn from: it is the one method whose values Python promises to keep for a seed.
    """
    draw = random.Random(seed).random
    names = user_names(users)
    for number in range(months):
        start, end = month_start(number), month_start(number + 1)
        share = records // months + (number < records % months)
        days = (end - start).days
        stolen = {int(draw() * users): int(draw() * days) for _ in range(STOLEN_USERS)}
        logins = []
        for _ in range(share):
            user = int(draw() * users)
            if user in stolen and draw() < SPAM_SHARE * users:
                relay, day = f"203.0.113.{int(draw() * 60)}", stolen[user]
            else:
                relay, day = f"198.51.100.{user * 4 % 250 + int(draw() ** 3 * 4)}", int(draw() * days)
            moment = start + timedelta(milliseconds=day * DAY_MS + int(draw() * DAY_MS))
            logins.append((names[user], relay, moment))
        yield from sorted(logins, key=lambda login: login[2])


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--records", type=at_least_one, default=6000, help="how many logins (%(default)s)")
    parser.add_argument("--users", type=at_least_one, default=12, help="how many users (%(default)s)")
    parser.add_argument("--months", type=at_least_one, default=2, help="months, from 2016-01 on (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another number makes other records (%(default)s)")
    options = parser.parse_args()
    if sys.stdout.isatty():
        parser.error("the records are binary: send them to a file, as in  make_logins.py > logins.bson")
    for record in make_records(options.records, options.users, options.months, options.seed):
        sys.stdout.buffer.write(encode(*record))


if __name__ == "__main__":
    main()
