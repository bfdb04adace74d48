"""Sizes and times as people and batch systems write them."""

import pytest

from dgrid.units import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("30s", 30),
        ("5m", 300),
        ("1.5h", 5400),
        ("2d", 172800),
        ("1:30", 90),
        ("1:00:00", 3600),
        ("00:10:00", 600),
        ("1-02:03:04", 93784),
        (" 5M ", 300),
    ],
)
def test_durations(text, seconds):
    """Numbers with a unit, and clocks."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "1:2:3:4", "5 minutes", "1-30", "1-2:30", "UNLIMITED", "None"])
def test_what_is_no_duration(text):
    """An error that shows how they are written."""
    with pytest.raises(ValueError, match="5m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (-3, "0 s"), (59.7, "1 min"), (90, "1 min 30 s"), (3600, "1:00:00"), (93784, "26:03:04")],
)
def test_durations_as_text(seconds, text):
    """Whole seconds, readable."""
    assert format_duration(seconds) == text
