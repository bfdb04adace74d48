"""The pages say what is so: links lead somewhere, commands and settings exist, transcripts come out the same."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import click
import pytest

from dgrid.cli.main import dgrid
from dgrid.cli.run import run
from dgrid.config import Settings
from dgrid.lab.machine import DEFAULT_ENGINE, machine_at
from dgrid.lab.node_image import ensure_base
from dgrid.plan.parse import parse_definition

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("docker_images/*.md"),
    )
)
TUTORIAL = ROOT / "docs" / "tutorial.md"
QUICKSTART = "localhost/dgrid.quickstart:latest"


def script(name: str) -> ModuleType:
    """A module of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The names that GitHub and GitLab give to headings."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_inside_the_project_leads_to_a_file_and_a_heading(page: Path) -> None:
    """A reader who follows a link finds what it promises."""
    targets = re.findall(r"\]\(([^)]+)\)", without_code(page.read_text()))
    broken = []
    for target in targets:
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists() or (anchor and anchor not in anchors(path.read_text())):
            broken.append(target)
    assert broken == []


def test_every_page_of_docs_is_reachable_from_its_index() -> None:
    """docs/index.md leads to all other pages of docs/."""
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs" / "index.md").read_text()))
    assert linked == {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}


def test_the_command_reference_is_that_of_the_commands() -> None:
    """docs/commands.md is what scripts/command_reference.py makes of the commands (`make docs` writes it)."""
    assert (ROOT / "docs" / "commands.md").read_text() == script("command_reference").reference()


def test_the_command_reference_has_all_options_of_help() -> None:
    """What `--help` shows of a command, the reference shows too."""
    help_text = subprocess.run(
        [sys.executable, "-m", "dgrid", "run", "--help"], capture_output=True, text=True, check=True
    )
    section = (ROOT / "docs" / "commands.md").read_text().partition("## dgrid run")[2].partition("\n## ")[0]
    shown = set(re.findall(r"--[a-z-]+", help_text.stdout)) - {"--help"}
    assert shown <= set(re.findall(r"--[a-z-]+", section))


def uses_of_dgrid(text: str) -> Iterator[list[str]]:
    """The words of each use of dgrid in code: in spans, indented lines, fenced blocks."""
    code = "\n".join(
        [
            *re.findall(r"`([^`\n]+)`", text),
            *re.findall(r"^ {4,}(.*)$", text, flags=re.MULTILINE),
            *re.findall(r"^\$ (.*)$", text, flags=re.MULTILINE),
        ]
    )
    for use in re.findall(r"(?:^|[\s;&|/(])dgrid ((?:run|plan|validate|schema|lab|--)[^\n;&|)#]*)", code):
        yield re.split(r"\s--\s", use + " ")[0].split()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_and_option_of_dgrid_that_a_page_shows_exists(page: Path) -> None:
    """Nobody copies a command that is refused."""
    unknown = []
    for words in uses_of_dgrid(page.read_text()):
        command: click.Command = dgrid
        options = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
        for word in [word for word in words if not word.startswith("-")]:
            inner = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
            if inner is None:
                break
            command = inner
        if command is dgrid:
            command = run
        known = {text for param in command.params for text in param.opts} | {"--help", "--version"}
        unknown += [f"{command.name} {option}" for option in options if option not in known]
    assert unknown == []


def test_every_make_target_that_a_page_names_exists() -> None:
    """`make demo` and the others do what the pages say, as far as there is such a target."""
    named = {
        target for page in PAGES for target in re.findall(r"(?:`|^ {4})make ([a-z]+)", page.read_text(), re.MULTILINE)
    }
    there = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= there


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_definition_that_a_page_shows_is_right(page: Path) -> None:
    """A definition copied from a page validates."""
    for block in re.findall(r"^```json\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        if "containers" in json.loads(block):
            parse_definition(block.encode(), page.name, {"PWD": "/home/alice"})


def test_the_page_for_administrators_shows_all_settings_with_their_defaults() -> None:
    """The configuration file shown is the one that changes nothing."""
    page = (ROOT / "docs" / "administrators.md").read_text()
    block = page.partition("```toml\n")[2].partition("```")[0]
    shown = tomllib.loads(block)["nodes"]
    defaults = asdict(Settings())
    assert shown == {key: value for key, value in defaults.items() if value is not None}
    assert {key for key, value in defaults.items() if value is None} <= set(
        re.findall(r"^# (\w+) =", block, re.MULTILINE)
    )


@pytest.fixture
def quickstart_image() -> Iterator[None]:
    """The tutorial builds the image; it goes again unless it was there before."""
    machine = machine_at(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE)
    ensure_base(machine, print)
    client = machine.client()
    before = client.images(name=QUICKSTART, quiet=True)
    yield
    if not before:
        client.remove_image(QUICKSTART)


@pytest.mark.lab
@pytest.mark.usefixtures("quickstart_image")
def test_the_tutorial_comes_out_as_it_is_written() -> None:
    """Each command of the tutorial prints what the tutorial shows, but for times, addresses, versions and ids."""
    transcripts = script("transcripts")
    lab = f"docs-{os.getpid()}"
    try:
        again = transcripts.played_again(TUTORIAL.read_text(), lab)
    finally:
        subprocess.run([sys.executable, "-m", "dgrid", "lab", "down", "--name", lab], capture_output=True, check=False)
    written, now = (transcripts.transcripts(text) for text in (TUTORIAL.read_text(), again))
    for step, new in zip(written, now, strict=True):
        assert transcripts.without_varying(new.output) == transcripts.without_varying(step.output), step.command
