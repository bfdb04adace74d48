"""The collections of the stand-in, in memory, and the commands on them.

    store = Store()
    store.obey({"insert": "logins", "$db": "sendmail", "documents": [{"relay": "a"}]})   # {"n": 1}

Source of fields and error codes: the MongoDB manual, "Database Commands" and "Error Codes".
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bson import Int64, ObjectId

Document = dict[str, Any]

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
FIRST_BATCH, NEXT_BATCH = 101, 5000
CODE_NAMES = {
    2: "BadValue",
    26: "NamespaceNotFound",
    43: "CursorNotFound",
    59: "CommandNotFound",
    115: "CommandNotSupported",
}
DUPLICATE_KEY = 11000

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, bound: value == bound,
    "$ne": lambda value, bound: value != bound,
    "$in": lambda value, bound: value in bound,
    "$gt": lambda value, bound: value > bound,
    "$gte": lambda value, bound: value >= bound,
    "$lt": lambda value, bound: value < bound,
    "$lte": lambda value, bound: value <= bound,
}
ORDERING = ("$gt", "$gte", "$lt", "$lte")


class CommandError(Exception):
    """A command that cannot be obeyed; becomes an error document with ``code``."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.code_name = CODE_NAMES[code]


def matches(document: Document, wanted: Document) -> bool:
    """Whether a document answers a filter: equality, and the comparisons above, on fields of the top level."""
    return all(field_matches(document, name, condition) for name, condition in wanted.items())


def field_matches(document: Document, name: str, condition: Any) -> bool:
    if name.startswith("$") or "." in name:
        raise CommandError(2, f"the stand-in's filters have plain field names only, not {name!r}")
    if not (isinstance(condition, dict) and any(key.startswith("$") for key in condition)):
        condition = {"$eq": condition}
    return all(compare(operator, document.get(name), bound) for operator, bound in condition.items())


def compare(operator: str, value: Any, bound: Any) -> bool:
    if operator not in COMPARISONS:
        raise CommandError(2, f"the stand-in's filters do not know {operator}; known: {', '.join(COMPARISONS)}")
    try:
        return COMPARISONS[operator](value, bound)
    except TypeError:
        return False  # As in MongoDB, values of different types are neither more nor less than each other.


def project(document: Document, projection: Document) -> Document:
    """The fields asked for: ``{"relay": 1}`` names those wanted, ``{"relay": 0}`` those unwanted; ``_id`` may
    differ."""
    if not projection:
        return document
    if any("." in name or isinstance(wanted, dict | str) for name, wanted in projection.items()):
        raise CommandError(2, "the stand-in's projections have plain field names and 0 or 1 only")
    choices = {bool(wanted) for name, wanted in projection.items() if name != "_id"}
    if len(choices) == 2:
        raise CommandError(2, "a projection cannot both name the fields wanted and those unwanted")
    including = choices == {True} or (not choices and bool(projection["_id"]))
    chosen = {"_id": True} | {name: bool(wanted) for name, wanted in projection.items()}
    return {name: value for name, value in document.items() if chosen.get(name, not including)}


class Store:
    """All collections by "database.collection", and the cursors still open. Safe for many threads."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[Any, Document]] = {}
        self.cursors: dict[int, tuple[str, list[Document]]] = {}
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()

    def obey(self, command: Document) -> Document:
        """The answer to one command, without its ``ok``. Raises CommandError."""
        verb = next(iter(command), "")
        action = COMMANDS.get(verb.lower())
        if action is None:
            raise CommandError(59, f"no such command: '{verb}' (this is dgrid's stand-in, not MongoDB)")
        with self.lock:
            return action(self, command)

    def hello(self, command: Document) -> Document:
        return {
            "helloOk": True,
            "isWritablePrimary": True,
            "ismaster": True,
            "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "localTime": datetime.now(UTC),
            "logicalSessionTimeoutMinutes": 30,
            "minWireVersion": 0,
            "maxWireVersion": 21,
            "readOnly": False,
        }

    def build_info(self, command: Document) -> Document:
        return {
            "version": "7.0.0",
            "versionArray": [7, 0, 0, 0],
            "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
            "standin": "dgrid's stand-in for MongoDB, not MongoDB",
        }

    def nothing(self, command: Document) -> Document:
        return {}

    def insert(self, command: Document) -> Document:
        collection = self.collections.setdefault(namespace(command, "insert"), {})
        errors: list[Document] = []
        inserted = 0
        for index, document in enumerate(command.get("documents", [])):
            key = freeze(document.setdefault("_id", ObjectId()))
            if key in collection:
                message = f"duplicate key: _id {document['_id']!r}"
                errors.append({"index": index, "code": DUPLICATE_KEY, "errmsg": message})
                if command.get("ordered", True):
                    break
                continue
            collection[key] = document
            inserted += 1
        return {"n": inserted} | ({"writeErrors": errors} if errors else {})

    def find(self, command: Document) -> Document:
        refuse(command, "sort", "skip", "collation", "tailable", "min", "max")
        name = namespace(command, "find")
        wanted, projection = command.get("filter", {}), command.get("projection", {})
        found = (document for document in self.collections.get(name, {}).values() if matches(document, wanted))
        limit = abs(command.get("limit", 0)) or None
        documents = [project(document, projection) for document in itertools.islice(found, limit)]
        size = command.get("batchSize", FIRST_BATCH)
        return self.batch(0, name, documents, size, "firstBatch", command.get("singleBatch", False))

    def get_more(self, command: Document) -> Document:
        number = command["getMore"]
        name, documents = self.cursors.pop(number, (None, []))
        if name is None:
            raise CommandError(43, f"cursor id {number} not found")
        return self.batch(number, name, documents, command.get("batchSize") or NEXT_BATCH, "nextBatch", False)

    def batch(self, number: int, name: str, documents: list[Document], size: int, key: str, single: bool) -> Document:
        rest = [] if single else documents[size:]
        number = (number or next(self.numbers)) if rest else 0
        if rest:
            self.cursors[number] = (name, rest)
        return {"cursor": {"id": Int64(number), "ns": name, key: documents[:size]}}

    def kill_cursors(self, command: Document) -> Document:
        known = [number for number in command["cursors"] if self.cursors.pop(number, None)]
        return {"cursorsKilled": known, "cursorsNotFound": [n for n in command["cursors"] if n not in known]}

    def count(self, command: Document) -> Document:
        refuse(command, "skip", "limit", "collation")
        documents = self.collections.get(namespace(command, "count"), {}).values()
        wanted = command.get("query", {})
        return {"n": sum(matches(document, wanted) for document in documents)}

    def drop(self, command: Document) -> Document:
        name = namespace(command, "drop")
        if self.collections.pop(name, None) is None:
            raise CommandError(26, "ns not found")
        return {"ns": name, "nIndexesWas": 1}

    def list_collections(self, command: Document) -> Document:
        database = command["$db"]
        names = [name.split(".", 1)[1] for name in self.collections if name.split(".", 1)[0] == database]
        wanted = command.get("filter", {})
        rows = [{"name": name, "type": "collection", "options": {}} for name in sorted(names)]
        rows = [row for row in rows if matches(row, wanted)]
        return {"cursor": {"id": Int64(0), "ns": f"{database}.$cmd.listCollections", "firstBatch": rows}}


def namespace(command: Document, verb: str) -> str:
    """Database and collection of a command, as in "sendmail.logins"."""
    if not isinstance(command[verb], str) or not command[verb]:
        raise CommandError(2, f"{verb} needs the name of a collection")
    return f"{command.get('$db', 'test')}.{command[verb]}"


def refuse(command: Document, *options: str) -> None:
    for option in options:
        if command.get(option):
            raise CommandError(115, f"the stand-in does not know the option {option!r}")


def freeze(value: Any) -> Any:
    """A document key that can be looked up, of any BSON value."""
    return value if value.__hash__ else repr(value)


# By lower-cased name: drivers say isMaster and ismaster.
COMMANDS: dict[str, Callable[[Store, Document], Document]] = {
    "hello": Store.hello,
    "ismaster": Store.hello,
    "ping": Store.nothing,
    "buildinfo": Store.build_info,
    "insert": Store.insert,
    "find": Store.find,
    "getmore": Store.get_more,
    "killcursors": Store.kill_cursors,
    "count": Store.count,
    "drop": Store.drop,
    "listcollections": Store.list_collections,
    # Indexes would only make it faster, and sessions hold nothing here.
    "createindexes": Store.nothing,
    "endsessions": Store.nothing,
}
