"""Deciding: which container goes where, under which name, with which request. Touches nothing."""
