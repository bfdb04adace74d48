"""The running dgrid as a tar, for the lab's shared /opt/dgrid."""

from __future__ import annotations

import io
import tarfile
from importlib import import_module
from pathlib import Path

LIBRARY = "lib"
"""Where in /opt/dgrid the package lies; the image's launcher looks there."""


def source_tar() -> bytes:
    """``lib/dgrid/...`` and ``lib/dgrid/schemas/...``, as an installation has them, whatever this checkout looks like.

    dgrid is pure Python, so what runs here under 3.11 runs there under Debian's Python.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for package in ("dgrid", "dgrid.schemas"):
            root, target = Path(str(import_module(package).__file__)).parent, package.replace(".", "/")
            for path in sorted(root.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    _add(tar, path, f"{LIBRARY}/{target}/{path.relative_to(root)}")
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    content, found = path.read_bytes(), path.stat()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = len(content), int(found.st_mtime)
    entry.mode = 0o755 if found.st_mode & 0o100 else 0o644
    tar.addfile(entry, io.BytesIO(content))
