"""Reading the files that the command line names."""

from __future__ import annotations

import errno
import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from dgrid.errors import DefinitionError, Problem
from dgrid.plan.definition import Definition
from dgrid.plan.jsontext import LONGEST_BYTES
from dgrid.plan.mistake import escape, quote
from dgrid.plan.parse import parse_definition

_REASONS = {
    errno.EACCES: ("you may not read the file", "see its permissions and its directories' with: namei -l FILE"),
    errno.ENOTDIR: ("a part of the path is no directory", None),
    errno.ELOOP: ("the path is a circle of symbolic links", None),
    errno.ENAMETOOLONG: ("the path is too long", None),
}


def read_definition(path: str, environment: Mapping[str, str]) -> Definition:
    """The definition in the file at ``path``; "-" is stdin.

    ``environment`` is what ``${NAME}`` is replaced from, with the account's HOME, USER and LOGNAME where it lacks them,
    as in a job of HTCondor. Raises DefinitionError with all that is wrong with the file, or with the one reason why it
    cannot be read.
    """
    name = shown_name(path)
    if not path:
        problem = Problem(name, "the name of the file is empty", "is a variable on the command line not set?")
        raise DefinitionError((problem,))
    try:
        content = _read(sys.stdin.buffer) if path == "-" else _read_file(path)
    except OSError as error:
        raise DefinitionError((_unreadable(name, path, error),)) from error
    return parse_definition(content, name, {**_account(), **environment})


def shown_name(path: str) -> str:
    """What messages call the file at ``path``."""
    return "stdin" if path == "-" else escape(path) or '""'


def _account() -> dict[str, str]:
    try:
        account = pwd.getpwuid(os.getuid())
    except KeyError:
        return {}
    return {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name}


def _read_file(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return _read(file)


def _read(file: BinaryIO) -> bytes:
    # One byte more than is allowed: parse_definition then says that the file is too large.
    return file.read(LONGEST_BYTES + 1)


def _unreadable(name: str, path: str, error: OSError) -> Problem:
    if error.errno == errno.ENOENT:
        return Problem(name, "there is no such file", _near(path))
    if error.errno == errno.EISDIR:
        return Problem(name, "this is a directory", "name the JSON file in it")
    what, remedy = _REASONS.get(error.errno or 0, (f"the file cannot be read ({error.strerror})", None))
    return Problem(name, what, remedy)


def _near(path: str) -> str | None:
    if Path(path).is_symlink():
        return "it is a symbolic link to something that is not there"
    directory = Path(path).parent
    try:
        names = sorted(entry.name for entry in directory.iterdir())
    except OSError:
        return f"there is no directory {quote(str(directory))} that you can read either"
    from difflib import get_close_matches

    near = get_close_matches(Path(path).name, names, 1, 0.6)
    return f"did you mean {quote(str(directory / near[0]))}?" if near else None
