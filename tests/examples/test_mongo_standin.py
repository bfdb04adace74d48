"""The stand-in for MongoDB, asked by MongoDB's own Python driver."""

from __future__ import annotations

import socket
import struct
from datetime import datetime

import pytest
from pymongo import MongoClient
from pymongo.errors import BulkWriteError, OperationFailure


def test_it_says_what_it_is(client: MongoClient) -> None:
    """Programs can tell it from MongoDB by buildInfo's field "standin"."""
    assert "not MongoDB" in client.admin.command("buildInfo")["standin"]


def test_documents_come_back_as_they_went_in(client: MongoClient) -> None:
    """All of 12,000 documents, more than any one answer holds, come back in order, with their types."""
    documents = [
        {"number": n, "when": datetime(2016, 1, 1, n % 24), "text": "ü", "nested": {"a": [n]}} for n in range(12000)
    ]
    result = client.shop.things.insert_many(documents)
    assert len(result.inserted_ids) == 12000
    assert list(client.shop.things.find()) == documents
    assert client.shop.things.estimated_document_count() == 12000


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, [1, 2, 3, 4]),
        ({"number": 2}, [2]),
        ({"number": {"$gte": 2, "$lt": 4}}, [2, 3]),
        ({"number": {"$gt": 2, "$lte": 4}, "colour": "red"}, [3]),
        ({"number": {"$in": [1, 4]}}, [1, 4]),
        ({"colour": {"$ne": "red"}}, [2, 4]),
        ({"absent": None}, [1, 2, 3, 4]),
        ({"colour": {"$gt": 5}}, []),
    ],
)
def test_filters(client: MongoClient, wanted: dict, numbers: list[int]) -> None:
    """Equality and comparisons choose the documents that they choose in MongoDB."""
    colours = ["red", "blue"]
    client.shop.things.insert_many([{"number": n, "colour": colours[(n + 1) % 2]} for n in (1, 2, 3, 4)])
    assert [document["number"] for document in client.shop.things.find(wanted)] == numbers


@pytest.mark.parametrize(
    ("projection", "fields"),
    [
        ({"a": 1}, {"_id", "a"}),
        ({"a": 1, "_id": 0}, {"a"}),
        ({"a": 0}, {"_id", "b"}),
        ({"_id": 0}, {"a", "b"}),
        ({"_id": 1}, {"_id"}),
    ],
)
def test_projections(client: MongoClient, projection: dict, fields: set[str]) -> None:
    """The fields asked for come, and no others."""
    client.shop.things.insert_one({"a": 1, "b": 2})
    assert set(client.shop.things.find_one({}, projection)) == fields


def test_a_limit_and_a_dropped_collection(client: MongoClient) -> None:
    """A limit holds; a dropped collection is empty and listed no more; dropping it twice is no error for the driver."""
    client.shop.things.insert_many([{} for _ in range(300)])
    assert len(list(client.shop.things.find(limit=250))) == 250
    assert client.shop.list_collection_names() == ["things"]
    client.shop.things.create_index("a")
    client.shop.things.drop()
    client.shop.things.drop()
    assert client.shop.list_collection_names() == []
    assert list(client.shop.things.find()) == []


def test_the_same_id_twice_is_refused(client: MongoClient) -> None:
    """A second document with an _id that is there is an error; the documents before it were taken."""
    with pytest.raises(BulkWriteError, match="duplicate key"):
        client.shop.things.insert_many([{"_id": 1}, {"_id": 1}, {"_id": 2}])
    assert list(client.shop.things.find()) == [{"_id": 1}]


def test_what_it_does_not_know_is_an_error(client: MongoClient) -> None:
    """Commands, operators and options that it does not have are refused by name, and the connection lives on."""
    with pytest.raises(OperationFailure, match=r"no such command: 'aggregate'.*stand-in") as unknown:
        client.shop.things.count_documents({})
    assert unknown.value.code == 59
    client.shop.things.insert_one({"a": 1})
    with pytest.raises(OperationFailure, match=r"\$regex"):
        client.shop.things.find_one({"a": {"$regex": "x"}})
    with pytest.raises(OperationFailure, match="sort"):
        client.shop.things.find_one(sort=[("a", 1)])
    with pytest.raises(OperationFailure, match="malformed"):
        client.shop.command({"find": "things", "filter": 5})
    assert client.shop.things.find_one({"a": 1})


@pytest.mark.parametrize(
    "message",
    [
        b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n",
        struct.pack("<iiii", 20, 1, 0, 2013),
        struct.pack("<iiiiI", 21, 1, 0, 2013, 0) + b"\x09",
        struct.pack("<iiiiI", 26, 1, 0, 2013, 0) + b"\0\5\0\0\0\1",
        struct.pack("<iiii", 17, 1, 0, 1) + b"x",
    ],
)
def test_noise_ends_its_own_connection_only(standin: str, client: MongoClient, message: bytes) -> None:
    """What is not MongoDB's protocol gets no answer but the end of its connection; others go on."""
    host, port = standin.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert client.admin.command("ping")["ok"] == 1
