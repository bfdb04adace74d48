"""What is wrong with one value of the definition, and how to show what a user wrote without harm."""

from __future__ import annotations

_LONGEST_SHOWN = 80


class Mistake(ValueError):  # the user's mistake; nothing failed
    """``Mistake("the path {} is relative", "write it from / on", shown="data/x")``.

    ``{}`` in ``what`` stands for the quoted ``shown``: a piece of the value that may be printed as it is. Where the
    value came about by replacing a ``${NAME}``, the caller puts what the file says in its place. Nothing but
    ``shown`` may repeat what the user wrote. ``remedy`` says what to do, None if that is plain.
    """

    def __init__(self, what: str, remedy: str | None = None, shown: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.shown = shown


def escape(text: str) -> str:
    r"""``escape("a\u202eb\n") == r"a\u202eb\n"``: what a terminal would act on, hide or reorder becomes visible."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    short = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}.get(char)
    return short or (f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")


def quote(text: str) -> str:
    """``quote("head") == '"head"'``: escaped, cut after 80 characters, in double quotes."""
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return f'"{escape(cut)}"'


def kind(value: object) -> str:
    """``kind([]) == "a list"``: the kind of a JSON value in words, for messages that must not show the value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number"
    return "a string" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"
