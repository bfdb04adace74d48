"""Absolute paths as a definition may have them."""

from __future__ import annotations

from dgrid.plan.mistake import Mistake

_FROM_ROOT = "write it out from / on"

LONGEST_PATH = 4096
"""PATH_MAX of Linux, see limits.h."""


def absolute_path(text: str, what: str) -> str:
    """``absolute_path("/a//b/./c/", "the directory") == "/a/b/c"``.

    ``what`` names the path in the Mistake that is raised for one that is empty, relative, too long or has a "..".
    """
    if not text:
        raise Mistake(f"{what} is empty", 'write an absolute path, as in "/home/alice/data"')
    if text != text.strip():
        raise Mistake(f"{what} {{}} has a blank at its beginning or end", "remove it", text)
    if text == "~" or text.startswith("~/"):
        raise Mistake(f"{what} {{}} begins with ~, which only a shell knows", "write ${HOME} in its place", text)
    if text.startswith("$"):
        raise Mistake(f"{what} {{}} begins with a variable of a shell", "write it with braces: ${NAME}", text)
    if not text.startswith("/"):
        raise Mistake(f"{what} {{}} is relative", _FROM_ROOT, text)
    if len(text) > LONGEST_PATH:
        raise Mistake(f"{what} is longer than {LONGEST_PATH} characters")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Mistake(f'{what} {{}} has a ".." in it', "write the path that is meant", text)
    return "/" + "/".join(parts)


def is_inside(path: str, directory: str) -> bool:
    """Whether ``path`` is ``directory`` or below it; both as ``absolute_path`` returns them."""
    return path == directory or directory == "/" or path.startswith(directory + "/")
