"""``python -m dgrid`` is the same as ``dgrid``."""

from dgrid.cli.program import entry

if __name__ == "__main__":
    entry()
