"""Runs the commands that a page of docs/ shows, in order, and writes what they print in place of what stands there.

    python scripts/transcripts.py docs/tutorial.md

A block of the kind ``console`` is a transcript: lines that begin with "$ " are commands, a line that ends in a
backslash goes on in the next one, all other lines are output. The commands run in the checkout's top directory,
under bash; ``dgrid`` is that of .venv. A lab they start has a name of its own, so that a user's lab is left alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_COMMAND_TIMEOUT_S = 300

# What differs from run to run, and between machines, and says nothing about whether the page is true.
_VARYING = (
    (re.compile(r"^dgrid lab: (building|pulling|making) .*\n", re.MULTILINE), ""),
    (re.compile(r"\b\d+\.\d s\b"), "N s"),
    (re.compile(r"\b\d+(\.\d+){3}\b *"), "ADDRESS "),
    (re.compile(r"\b(docker|podman) \d[\w.+~-]*"), "ENGINE"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "ID"),
    (re.compile(r"\btini \(\d+\)"), "tini (PID)"),
    (re.compile(r" +$", re.MULTILINE), ""),
)


@dataclass(frozen=True, slots=True)
class Step:
    """``Step("dgrid lab list", "demo\\n")``: a command as it is shown, and its output."""

    command: str
    output: str


def steps(block: str) -> Iterator[Step]:
    """The commands of one transcript, each with the output that follows it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command = re.match(r"(.*\\\n)*.*\n", part)
        assert command is not None
        yield Step(command[0], part[command.end() :])


def transcripts(page: str) -> list[Step]:
    """All steps of a page."""
    return [step for block in _BLOCK.findall(page) for step in steps(block)]


def without_varying(text: str) -> str:
    """The text with everything that differs from run to run replaced by one word a kind."""
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return text


def played_again(page: str, lab: str) -> str:
    """The page with the output that its commands print now. ``lab`` is what a lab is called that they start."""
    with tempfile.TemporaryDirectory() as commands:
        environment = _environment(Path(commands), lab)
        return _BLOCK.sub(lambda block: "".join(_play(step, environment) for step in steps(block[0])), page)


def _play(step: Step, environment: dict[str, str]) -> str:
    lab = environment["LAB"]
    done = subprocess.run(
        ["bash", "-c", step.command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_COMMAND_TIMEOUT_S,
        check=False,
    )
    # On the page the lab has no name of its own.
    output = done.stdout.decode(errors="replace").replace(f" --name {lab}", "").replace(f"lab {lab} ", "lab lab ")
    return f"$ {step.command}{output}{'' if output.endswith(chr(10)) or not output else chr(10)}"


def _environment(commands: Path, lab: str) -> dict[str, str]:
    dgrid = commands / "dgrid"
    real = Path(sys.executable).parent / "dgrid"
    dgrid.write_text(f'#!/bin/bash\n[ "$1" != lab ] || set -- lab "$2" --name "$LAB" "${{@:3}}"\nexec {real} "$@"\n')
    dgrid.chmod(0o755)
    return {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "LAB": lab}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(played_again(path.read_text(), f"pages-{os.getpid()}"))
