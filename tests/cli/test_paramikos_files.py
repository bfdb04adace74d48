"""What paramiko's files do when a connection broke is nobody's business; other mistakes are."""

from __future__ import annotations

import subprocess
import sys

MAKE = """
from paramiko.file import BufferedFile
from dgrid.cli.main import pass_over_files_of_paramiko
pass_over_files_of_paramiko()
class Other:
    def __del__(self):
        raise ValueError("something else")
def broken():
    file = BufferedFile()
    file._wbuffer.close()
    return file
"""


def stderr_of(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", MAKE + script], capture_output=True, text=True, check=True)
    return done.stderr


def test_a_file_that_is_closed_twice_is_passed_over():
    """Collected while dgrid runs, or only at its end."""
    assert stderr_of("broken(); kept = broken(); kept.itself = kept") == ""


def test_other_mistakes_are_told():
    """By Python itself, as ever."""
    assert "ValueError: something else" in stderr_of("Other()")
