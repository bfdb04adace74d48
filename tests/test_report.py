"""Values as text."""

from dgrid.report import count, gather, table


def test_columns_are_as_wide_as_their_widest_cell():
    """No blanks at the ends of lines."""
    assert table(["NODE", "IMAGE"], [["n1", "busybox"], ["node22", "x"]]) == [
        "NODE    IMAGE",
        "n1      busybox",
        "node22  x",
    ]


def test_equal_messages_of_many_nodes_are_one_line():
    """With the nodes folded, in the order in which each message came first."""
    messages = [("n01", "no socket"), ("n03", "no image"), ("n02", "no socket"), ("n12", "no socket")]
    assert gather(messages) == ["n[01-02,12]: no socket", "n03: no image"]


def test_one_is_singular():
    """One node, two nodes."""
    assert (count(1, "node"), count(0, "node"), count(2, "node")) == ("1 node", "0 nodes", "2 nodes")
