"""What `pip install .` gives: a wheel with everything dgrid needs, that works away from the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import dgrid

ROOT = Path(__file__).parents[1]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "dgrid", "schemas")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that nothing of the build lands in the checkout."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", target, source], check=True)
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' directory of an environment with dgrid from the wheel, and the test's own other packages."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", place / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    # A directory named so is searched, but its own .pth files, such as that of an editable dgrid, are not followed.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return place / "bin"


def run(*command: str | Path) -> str:
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout


def test_the_wheel_has_every_module_and_every_file_that_modules_read(wheel: Path) -> None:
    """No package or data file was forgotten in setup.cfg."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "dgrid").rglob("*.py")}
    others = (path for place in ("dgrid/lab/image", "dgrid/sites") for path in (ROOT / place).rglob("*"))
    read = {str(path.relative_to(ROOT)) for path in others if path.is_file()}
    assert modules | read | {"dgrid/schemas/dockerdef.schema.json"} <= inside


def test_the_wheel_has_the_licence_and_its_name(wheel: Path) -> None:
    """Whoever gets the wheel gets the licence with it."""
    archive = zipfile.ZipFile(wheel)
    (licence,) = (name for name in archive.namelist() if name.endswith("/LICENSE"))
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert "\nLicense: Apache-2.0\n" in archive.read(metadata).decode().replace("License-Expression", "License")


@pytest.mark.parametrize("command", [["dgrid"], ["python", "-m", "dgrid"]], ids=["dgrid", "python -m dgrid"])
def test_the_installed_dgrid_runs_from_the_wheel(installed: Path, command: list[str]) -> None:
    """Both ways to start it give the version of this checkout."""
    program, *arguments = command
    assert run(installed / program, *arguments, "--version").split()[-1] == dgrid.__version__


def test_the_installed_dgrid_is_not_the_checkouts(installed: Path) -> None:
    """What the other tests here run is the wheel's code."""
    where = run(installed / "python", "-c", "import dgrid; print(dgrid.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_the_installed_dgrid_has_its_schema(installed: Path) -> None:
    """`dgrid schema` prints the schema of this checkout."""
    assert run(installed / "dgrid", "schema") == (ROOT / "schemas/dockerdef.schema.json").read_text()


def test_the_installed_dgrid_can_build_the_labs_image(installed: Path) -> None:
    """The image's sources came along: its name is the hash of them, the same as here."""
    from dgrid.lab.node_image import image_tag

    asked = "from dgrid.lab.node_image import image_tag; print(image_tag())"
    assert run(installed / "python", "-c", asked).strip() == image_tag()
