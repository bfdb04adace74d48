"""What the head does: finds the accounts whose logins came through unusually many mail relays.

It loads the login records into the database, has the workers count each month's different relays per user and day,
and prints them. Who the workers are and where the database is, it reads from the hostfile that dgrid wrote:
``{"workers": ["node2", "node3"], "database": ["node4"]}``. From the environment: HOSTFILE, DUMPFILE, DBNAME,
COLLECTION, DB_PORT; and DBUSER, DBPASS where AUTH=yes says that the database wants them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

SSH_PORT = 2222
# The containers start all at once: the others may need a while yet.
WAIT_MS = 60_000
SSH = ["ssh", "-p", str(SSH_PORT), "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ConnectionAttempts=30"]
ANALYSIS_TIMEOUT_S = 600
BATCH = 5000
SUSPICIOUS = 10

Counts = dict[str, dict[str, int]]


class JobError(Exception):
    """The job cannot go on; the text says why."""


@dataclass(frozen=True)
class Job:
    """What the hostfile and the environment say."""

    workers: tuple[str, ...]
    address: str
    database: str
    collection: str
    dump_file: str
    user: str | None
    password: str | None


def read_job(environment: Mapping[str, str]) -> Job:
    try:
        hosts = json.loads(Path(environment["HOSTFILE"]).read_text(encoding="utf-8"))
        wants_login = environment.get("AUTH", "no") == "yes"
        return Job(
            workers=tuple(hosts["workers"]),
            address=f"{hosts['database'][0]}:{environment['DB_PORT']}",
            database=environment["DBNAME"],
            collection=environment["COLLECTION"],
            dump_file=environment["DUMPFILE"],
            user=environment["DBUSER"] if wants_login else None,
            password=environment["DBPASS"] if wants_login else None,
        )
    except KeyError as error:
        raise JobError(f"neither the environment nor the tags of the hostfile have {error}") from error


def read_dump(path: str) -> Iterator[dict[str, Any]]:
    from bson import InvalidBSON, decode_file_iter

    try:
        with Path(path).open("rb") as file:
            yield from decode_file_iter(file)
    except InvalidBSON as error:
        raise JobError(f"{path} is not a stream of BSON documents: {error}") from error


def load(job: Job, records: Iterable[dict[str, Any]]) -> tuple[int, list[str]]:
    """Fills the collection anew; the number of records, and the months they are of, in order."""
    from pymongo import MongoClient

    login: dict[str, Any] = {}
    if job.user:
        login = {"username": job.user, "password": job.password, "authSource": job.database}
    months: set[str] = set()
    with MongoClient(job.address, serverSelectionTimeoutMS=WAIT_MS, **login) as client:
        about = client.admin.command("buildInfo")
        print(f"Database at {job.address}: {about.get('standin') or 'MongoDB ' + about['version']}")
        logins = client[job.database][job.collection]
        logins.drop()
        records = iter(records)
        while batch := list(islice(records, BATCH)):
            logins.insert_many(batch)
            months.update(record["dstamp"].strftime("%Y-%m") for record in batch)
        return logins.estimated_document_count(), sorted(months)


def analyse(job: Job, worker: str, month: str) -> Counts:
    """One month's counts, made by ``data_analysis.py`` on a worker."""
    command = [*SSH, worker, "python", "/data_analysis.py", job.address, job.database, job.collection, month]
    if job.user:
        command += ["--user", job.user]
    try:
        done = subprocess.run(
            command,
            input=f"{job.password}\n" if job.password else "",
            capture_output=True,
            text=True,
            timeout=ANALYSIS_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise JobError(f"{worker}: no answer for {month} within {ANALYSIS_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise JobError(f"{worker}: counting {month} ended with {done.returncode}: {done.stderr.strip()}")
    counts: Counts = json.loads(done.stdout)
    return counts


def format_month(month: str, counts: Counts) -> str:
    """A table: a row for each user, a column for each day of the month, ``.`` where nobody logged in."""
    first = datetime.strptime(month, "%Y-%m")
    following = datetime(first.year + first.month // 12, first.month % 12 + 1, 1)
    days = [f"{month}-{day:02}" for day in range(1, (following - first).days + 1)]
    width = max(map(len, counts), default=4)
    lines = [f"{'user':{width}} " + "".join(f"{day[-2:]:>3}" for day in days)]
    for user, by_day in counts.items():
        lines.append(f"{user:{width}} " + "".join(f"{by_day.get(day, '.'):>3}" for day in days))
    for user, by_day in counts.items():
        lines += [
            f"  {user} used {relays} relays on {day}: was the password stolen?"
            for day, relays in by_day.items()
            if relays >= SUSPICIOUS
        ]
    return "\n".join(lines)


def main() -> None:
    job = read_job(os.environ)
    total, months = load(job, read_dump(job.dump_file))
    print(f"{total} logins of {len(months)} months loaded; workers: {', '.join(job.workers)}")
    if not job.workers:
        raise JobError("the hostfile lists no workers")

    # The months go to the workers in turn; the results come back in the order of the months.
    shares = [(job.workers[number % len(job.workers)], month) for number, month in enumerate(months)]
    with ThreadPoolExecutor(max_workers=len(job.workers)) as pool:
        results = pool.map(lambda share: analyse(job, *share), shares)
        for (worker, month), counts in zip(shares, results, strict=True):
            print(f"\nRelays per user and day in {month}, counted by {worker}")
            print(format_month(month, counts))


if __name__ == "__main__":
    from pymongo.errors import PyMongoError

    try:
        main()
    except (JobError, OSError, PyMongoError) as error:
        sys.exit(f"mongo_job.py: {error}")
