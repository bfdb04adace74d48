"""``python -m dgrid`` is the same as ``dgrid``."""

from dgrid.cli.main import entry

if __name__ == "__main__":
    entry()
