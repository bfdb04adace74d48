"""Records are dataclasses, made sooner."""

from dataclasses import asdict, field, fields, replace

from dgrid.record import record


@record
class Point:
    x: int
    y: int = 0
    note: str = field(default="", repr=False, compare=False)


@record
class Nothing:
    """A record of no values."""


def test_equal_values_make_equal_records():
    """But for those that do not count."""
    assert Point(1, 2) == Point(1, 2, "here")
    assert Point(1, 2) != Point(1, 3)
    assert Point(1, 2) != (1, 2)
    assert len({Point(1, 2), Point(1, 2, "here"), Point(2, 2)}) == 2
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())


def test_it_is_a_dataclass():
    assert repr(Point(1, note="here")) == "Point(x=1, y=0)"
    assert repr(Nothing()) == "Nothing()"
    assert replace(Point(1), y=5) == Point(1, 5)
    assert [one.name for one in fields(Point)] == ["x", "y", "note"]
    assert asdict(Point(1)) == {"x": 1, "y": 0, "note": ""}
    assert not hasattr(Point(1), "__dict__")
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)
