"""Names and labels."""

from made import worker

from dgrid.plan.definition import ScalePer
from dgrid.plan.folding import fold
from dgrid.plan.naming import check_names, engine_name, instance_name, labels


def test_only_scaled_containers_have_numbers():
    """Also where only the allocation decides how many there are."""
    assert instance_name(worker("db"), 1) == "db"
    assert instance_name(worker("w", scale=3), 2) == "w-2"
    assert instance_name(worker("w", scale=ScalePer.NODE), 1) == "w-1"


def test_engine_side_names_end_in_the_session():
    """So that two runs never collide."""
    assert engine_name("w-2", "k3x9") == "w-2-k3x9"


def test_all_labels_are_always_there():
    """An image's own labels are inherited, so none may be left open."""
    assert labels("s", None, "alice") == (
        ("io.dgrid.session", "s"),
        ("io.dgrid.job", ""),
        ("io.dgrid.user", "alice"),
        ("io.dgrid.container", ""),
        ("io.dgrid.index", ""),
        ("io.dgrid.node", ""),
        ("io.dgrid.nodes", ""),
        ("io.dgrid.role", ""),
    )


def test_names_that_would_meet_are_refused():
    """w-1 may be a container of its own only where w has no instance of that name; capitals make no difference."""
    pair, single = worker("w", scale=2), worker("W-1")
    assert check_names([(pair, "w-1"), (pair, "w-2"), (single, "W-1")]) == (
        'containers "w" and "W-1": both would have the host name "W-1" — rename one of them '
        "(instances of a scaled container are called NAME-1, NAME-2, ...)",
    )
    assert check_names([(pair, "w-1"), (worker("w-3"), "w-3")]) == ()


def test_a_name_too_long_for_a_host_is_refused_once():
    """63 characters are the most, the number included."""
    long = worker("x" * 62, scale=2)
    found = check_names([(long, f"{long.name}-1"), (long, f"{long.name}-2")])
    assert len(found) == 1
    assert "63 characters" in found[0]


def test_folding():
    """Ranges keep their zeros; what is no plain name stays as it is."""
    assert fold(["node01", "node02", "node07"]) == "node[01-02,07]"
    assert fold(["n2.x.org", "n1.x.org"]) == "n[1-2].x.org"
    assert fold([]) == ""
    assert fold(["@all"]) == "@all"
    assert fold(["b[1]", "a"]) == "b[1],a"
