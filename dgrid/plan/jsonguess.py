"""The likely cause of a syntax error in JSON, from what stands at and before its place."""

from __future__ import annotations

import re
from collections.abc import Callable

Guess = tuple[int, str, str | None]
"""The offset to point at, what is wrong there, and what to do. No part of the text is repeated: it may be secret."""

_OTHER_FORMATS = (
    (re.compile(r"#!|#PBS|#SBATCH"), "this is a script, not a definition", "name the JSON file that it uses"),
    (re.compile(r"<[?!A-Za-z]"), "this is XML or HTML, not JSON", 'a definition is an object: {"containers": [...]}'),
    (
        re.compile(r"\[\[?[A-Za-z_][\w.-]*\]|[A-Za-z_][\w-]*[ \t]*="),
        "this is TOML or an INI file, not JSON",
        'a definition is written in JSON: {"containers": [...]}',
    ),
    (
        re.compile(r"---|%YAML|-[ \t]|[A-Za-z_$][\w-]*:(?!\S)"),
        "this is YAML, not JSON",
        'a definition is written in JSON: {"containers": [...]}',
    ),
)
_COMMENT_LINES = re.compile(r"(?:\s*#[^\n]*\n)*\s*")
_CURLY_QUOTES = "“”„‟‘’‚‛«»"
_WORDS = {"True": "true", "False": "false", "None": "null", "TRUE": "true", "FALSE": "false", "NULL": "null"}
_LATER = {"yes": "true", "no": "false", "on": "true", "off": "false"}
_TOKEN = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[\[\]{}]', re.DOTALL)
_A_VALUE = 'write one: "text", a number, true, false, a list [...] or an object {...}'
_WORD = re.compile(r"[A-Za-z_]\w*")


def guess_cause(text: str, message: str, position: int) -> Guess:
    """``guess_cause("{'a': 1}", "Expecting property name ...", 1)`` says that strings need double quotes.

    ``message`` and ``position`` are those of json.JSONDecodeError. The messages differ a little between versions of
    Python, so most is read off the text.
    """
    start = len(text) - len(text.lstrip())
    first = _COMMENT_LINES.match(text).end()  # type: ignore[union-attr]  # it matches the empty string
    for pattern, what, remedy in _OTHER_FORMATS:
        for beginning in (start, first):
            if pattern.match(text, beginning):
                return beginning, what, remedy
    for opening, inside_string in _IN_STRINGS.items():
        if message.startswith(opening):
            return inside_string(text, position)
    at = _skip_blanks(text, position)
    if message.startswith("Illegal trailing comma"):
        at = _skip_blanks(text, text.index(",", position) + 1)
    return _ended(text, at) or _character(text, at) or _by_message(text, message, at)


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _before(text: str, at: int) -> int:
    at -= 1
    while at >= 0 and text[at] in " \t\r\n":
        at -= 1
    return at


def _unterminated(text: str, at: int) -> Guess:
    return at, "this string has no end", 'close it with "'


def _control(text: str, at: int) -> Guess:
    if text[at] in "\r\n":
        opening = text.rfind('"', 0, at)
        return (
            max(opening, 0),
            "a string goes on past the end of its line",
            r'close it with ", or write \n for a new line',
        )
    if text[at] == "\t":
        return at, "a tab stands in a string", r"write \t"
    code = ord(text[at])
    return at, f"the control character U+{code:04X} stands in a string", "remove it"


def _escape(text: str, at: int) -> Guess:
    return at, r"a backslash that begins no escape that JSON knows", r"write \\ for a backslash"


_IN_STRINGS: dict[str, Callable[[str, int], Guess]] = {
    "Unterminated string": _unterminated,
    "Invalid control character": _control,
    "Invalid \\": _escape,
}


def _ended(text: str, at: int) -> Guess | None:
    if at < len(text):
        return None
    opened = _unclosed(text, at)
    if not opened:
        return len(text.rstrip()), "the file ends too early", None
    line = text.count("\n", 0, opened[-1]) + 1
    bracket = text[opened[-1]]
    closing = {"[": "]", "{": "}"}[bracket]
    return (
        len(text.rstrip()),
        f"the file ends before the {bracket} of line {line} is closed",
        f"close it with {closing}",
    )


def _unclosed(text: str, end: int) -> list[int]:
    opened: list[int] = []
    for match in _TOKEN.finditer(text, 0, end):
        if match[0] in ("[", "{"):
            opened.append(match.start())
        elif match[0] in ("]", "}") and opened:
            opened.pop()
    return opened


def _character(text: str, at: int) -> Guess | None:
    char, before = text[at], _before(text, at)
    if char in "]}" and before >= 0 and text[before] == ",":
        return before, f"a comma stands before the closing {char}", "remove the comma"
    if char == "'":
        return at, "a single quote", 'strings stand in double quotes: "..."'
    if char in _CURLY_QUOTES:
        return at, "a typographic quote", 'strings stand in plain double quotes: "..."'
    if char == "#" or text.startswith(("//", "/*"), at):
        return at, "a comment, which JSON does not have", "remove it"
    if char == ",":
        return at, "a comma with nothing before it", "remove it, or put in what is missing"
    if char in ";=":
        remedy = "write : between a key and its value" if char == "=" else "write , between values"
        return at, f"a {char}, which JSON does not have", remedy
    if char == "`":
        return at, "a backquote", 'strings stand in double quotes: "..."'
    if char in "\u00a0\u200b\u2003\u3000\ufeff":
        return at, f"an invisible character, U+{ord(char):04X}", "remove it, or write a plain blank"
    return None


def _by_message(text: str, message: str, at: int) -> Guess:
    if message.startswith("Extra data"):
        return _extra(text, at)
    if message.startswith("Expecting property name"):
        return _property(text, at)
    if message.startswith("Expecting ':'"):
        return at, "a key is not followed by a colon", 'write "key": value'
    if message.startswith("Expecting ','"):
        return _comma(text, at)
    return _no_value(text, at)


def _extra(text: str, at: int) -> Guess:
    if text[at] in "]}":
        return at, f"a {text[at]} that closes nothing", "remove it"
    return at, "more text after the end of the definition", "a file holds one object, and nothing after it"


def _property(text: str, at: int) -> Guess:
    if _WORD.match(text, at):
        return at, "a key without quotes", 'write it in double quotes: "key": value'
    if text[at] in "]}":
        return at, f"a {text[at]} where a key is expected", "check the brackets before it"
    return at, "a key is expected here", 'keys are strings in double quotes: "key": value'


def _comma(text: str, at: int) -> Guess:
    before = _before(text, at)
    adjacent = before == at - 1
    if text[at] in "]}":
        opened = _unclosed(text, at)
        line = text.count("\n", 0, opened[-1]) + 1 if opened else 1
        bracket = text[opened[-1]] if opened else "{"
        return at, f"a {text[at]} that does not match the {bracket} of line {line}", "check the brackets"
    if text[at] == ":":
        return at, "a colon in the middle of a list", 'keys belong into objects: {"key": value}'
    if adjacent and text[before] == '"':
        return at, "text directly after the end of a string", r"write \" for a double quote inside of a string"
    if adjacent and text[before].isdigit():
        return at, "this is no number as JSON writes them", "put it in double quotes, or remove leading zeros and units"
    if text[before] == '"' and _WORD.match(text, at):
        return at, "text after the end of a string", r"put a comma between values, or write \" inside of a string"
    return before + 1, "a comma is missing here", "put one between each two values"


def _no_value(text: str, at: int) -> Guess:
    word = _WORD.match(text, at)
    if word is not None and not text[:at].strip():
        return at, "this is not JSON", 'a definition is an object: {"containers": [...]}'
    if word is not None:
        right = _WORDS.get(word[0]) or _LATER.get(word[0].lower())
        remedy = f"write {right}" if right else 'put it in double quotes: "..."'
        return at, "a word without quotes", remedy
    if text[at] in "]}":
        return at, "a value is missing here", _A_VALUE
    if text[at] in "+.-0123456789":
        return at, "this is no number as JSON writes them", "write digits, with at least one before a point"
    if text[at] in '":':
        return at, "a value is expected here", _A_VALUE
    return at, f"the character {_shown(text[at])} cannot stand here", "a value begins with a quote, a digit, [ or {"


def _shown(char: str) -> str:
    return char if char.isascii() and char.isprintable() else f"U+{ord(char):04X}"
