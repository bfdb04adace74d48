"""A cluster of containers on this machine, for trying and testing."""
