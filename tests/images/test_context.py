"""The directory that an image is built from."""

import os
import subprocess
import sys

READ = """
import sys
from pathlib import Path
from dgrid.errors import UsageError
from dgrid.images.context import context_files, find_context
try:
    print(context_files(find_context(Path(sys.argv[1]), None)))
except UsageError as error:
    print(error)
"""


def test_a_directory_without_permission(tmp_path):
    """Below the one to build, it is told by its name, as a file is, with what to do."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    secret = tmp_path / "secret"
    secret.mkdir(mode=0)
    # root reads everything, but without its capabilities
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    done = subprocess.run([*powerless, sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True)
    told = f"{secret}: cannot be read (Permission denied) — make it readable, or name it in .dockerignore\n"
    assert done.stdout == told, done.stderr
