"""How long containers have to end."""

import pytest

from dgrid.plan.grace import grace


@pytest.mark.parametrize(
    ("own", "leaves", "expected"),
    [(None, None, 10.0), (0.0, None, 0.0), (30.0, None, 30.0), (30.0, 10.0, 7.0), (None, 30.0, 10.0), (None, 2.0, 1.0)],
)
def test_the_grace_is_the_definitions_or_the_sites_and_ends_before_the_batch_system_kills(own, leaves, expected):
    """Three seconds before the KILL of the batch system, or half of what it leaves, all is to be removed."""
    assert grace(own, 10.0, leaves) == expected
