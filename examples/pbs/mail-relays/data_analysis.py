"""What a worker does: counts through how many different relays each user logged in, on each day of a month.

    python /data_analysis.py node3:27017 sendmail logins 2016-01

prints a JSON object such as ``{"alice": {"2016-01-05": 3}}``; days without a login are left out. With ``--user NAME``
it logs in to the database, with the password read from stdin, where no process list shows it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

WAIT_MS = 60_000


def count_relays(logins: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Different relays by user and day, both in order; the day is the UTC day of ``dstamp``."""
    relays: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for login in logins:
        relays[login["authid"], login["dstamp"].strftime("%Y-%m-%d")].add(login["relay"])
    counts: dict[str, dict[str, int]] = {}
    for user, day in sorted(relays):
        counts.setdefault(user, {})[day] = len(relays[user, day])
    return counts


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """The first moment of "2016-12", and the first after it."""
    start = datetime.strptime(month, "%Y-%m")
    return start, datetime(start.year + start.month // 12, start.month % 12 + 1, 1)


def main() -> None:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="host:port of the database server")
    parser.add_argument("database")
    parser.add_argument("collection")
    parser.add_argument("month", help="as in 2016-01")
    parser.add_argument("--user", help="log in to the database; the password is read from stdin")
    options = parser.parse_args()

    login: dict[str, Any] = {}
    if options.user:
        password = sys.stdin.readline().rstrip("\n")
        login = {"username": options.user, "password": password, "authSource": options.database}
    start, end = month_bounds(options.month)
    try:
        with MongoClient(options.address, serverSelectionTimeoutMS=WAIT_MS, **login) as client:
            logins = client[options.database][options.collection]
            in_month = {"dstamp": {"$gte": start, "$lt": end}}
            found = logins.find(in_month, {"_id": 0, "authid": 1, "relay": 1, "dstamp": 1})
            counts = count_relays(found)
    except PyMongoError as error:
        sys.exit(f"data_analysis.py: database {options.address}: {error}")
    json.dump(counts, sys.stdout)


if __name__ == "__main__":
    main()
