"""The images that a lab's hosts run: built once on this machine, named by the hash of what they are built from."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from dgrid.errors import LabError
from dgrid.lab.machine import Machine
from dgrid.lab.shape import Batch

if TYPE_CHECKING:
    from docker import APIClient

BASE = "debian:trixie-slim"
IMAGE_LABEL = "io.dgrid.lab.image"

_SOURCES = Path(__file__).parent / "image"
_IN_BASE = "slurm"
"""The batch system that is a part of the base image."""
_REGISTRY_TIMEOUT_S = 20
_BUILD_SILENCE_S = 600
_LINES_SHOWN = 15


def image_tag(batch: Batch = Batch.TORQUE, sources: Path = _SOURCES) -> str:
    """``"dgrid-lab:3f2a91c07be5"``, ``"dgrid-lab-sge:91c03b2f7ae5"``: other sources give another tag.

    Batch systems without packages of their own share the base image. Raises LabError where a batch system's part of
    the sources is missing.
    """
    base, own = _base_sources(sources), _own_sources(sources, batch)
    return f"dgrid-lab-{batch.value}:{_digest(base, own)}" if own else f"dgrid-lab:{_digest(base)}"


def ensure_image(machine: Machine, batch: Batch, say: Callable[[str], None], build_env: Mapping[str, str]) -> str:
    """The tag of the image for a batch system, built if this machine has none. ``build_env`` has the proxy settings.

    Takes nothing when it is there, else one to three minutes. Raises LabError with the build's last lines.
    """
    tag, base = image_tag(batch), image_tag()
    client = machine.client(_BUILD_SILENCE_S)
    if has_image(client, tag):
        return tag
    if not has_image(client, base):
        ensure_base(machine, say)
        say(f"building the node image {base} (once; takes a minute or two)")
        _build(client, base, _base_sources(_SOURCES), build_env)
    if tag != base:
        say(f"building the node image {tag} (once; takes a minute or two)")
        _build(client, tag, _own_sources(_SOURCES, batch), {**build_env, "BASE": base})
    return tag


def ensure_base(machine: Machine, say: Callable[[str], None]) -> None:
    """Makes ``debian:trixie-slim`` exist: from a registry if one answers, else by mmdebstrap on this machine."""
    if has_image(machine.client(), BASE) or _pull(machine.client(_REGISTRY_TIMEOUT_S), say):
        return
    if shutil.which("mmdebstrap") is None:
        raise LabError(
            f"no registry gives {BASE}, and there is no mmdebstrap to make it here; "
            "install it (apt-get install mmdebstrap; in a checkout of dgrid: scripts/prepare up)"
        )
    say(f"making {BASE} with mmdebstrap, as no registry gives it")
    _bootstrap(machine.client(_BUILD_SILENCE_S))


def remove_images(machine: Machine) -> None:
    """Removes every node image that no lab uses, of older versions too."""
    client = machine.client()
    # Those of batch systems lie on top of the base image, which cannot be removed before them.
    while any(_remove_image(client, image) for image in client.images(filters={"label": IMAGE_LABEL}, quiet=True)):
        pass


def _remove_image(client: APIClient, image: str) -> bool:
    """Whether it is gone now; an image in use stays."""
    import docker.errors

    try:
        client.remove_image(image, force=False)
    except docker.errors.APIError as error:
        if error.status_code not in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
            raise LabError(f"cannot remove the node image {image[:19]}: {error.explanation}") from error
        return False
    return True


def has_image(client: APIClient, name: str) -> bool:
    """Whether the engine has an image of that name."""
    import docker.errors

    try:
        client.inspect_image(name)  # type: ignore[no-untyped-call]  # untyped in the stubs
    except docker.errors.ImageNotFound:
        return False
    return True


def _pull(client: APIClient, say: Callable[[str], None]) -> bool:
    import docker.errors
    import requests.exceptions

    say(f"pulling {BASE}")
    repository, tag = BASE.split(":")
    try:
        client.pull(repository, tag)
        return has_image(client, BASE)
    except (docker.errors.APIError, requests.exceptions.RequestException):
        return False


def _bootstrap(client: APIClient) -> None:
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", "trixie", "-"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_BUILD_SILENCE_S, check=False)
    if done.returncode != 0:
        raise LabError(f"mmdebstrap failed:\n{_last_lines(done.stderr.decode(errors='replace').splitlines())}")
    repository, tag = BASE.split(":")
    client.import_image_from_data(done.stdout, repository=repository, tag=tag)


def _build(client: APIClient, tag: str, sources: Mapping[str, Path], build_env: Mapping[str, str]) -> None:
    output: list[str] = []
    events = client.build(
        fileobj=io.BytesIO(_context(sources)),
        custom_context=True,
        tag=tag,
        labels={IMAGE_LABEL: tag},
        buildargs=dict(build_env),
        # Bridged builds cannot reach a mirror where only the machine itself can.
        network_mode="host",
        rm=True,
        forcerm=True,
        decode=True,
    )
    for event in events:
        output += event.get("stream", "").splitlines()
        if "error" in event:
            raise LabError(f"building the node image failed:\n{_last_lines([*output, event['error']])}")


def _context(sources: Mapping[str, Path]) -> bytes:
    """The sources as a tar; fixed times and owners, so that the engine's build cache can know them again."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in sources.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = path.stat().st_size, _mode(path)
            tar.addfile(entry, io.BytesIO(path.read_bytes()))
    return buffer.getvalue()


def _digest(*groups: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for sources in groups:
        for name, path in sources.items():
            digest.update(f"{name}\0{_mode(path):o}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def _base_sources(sources: Path) -> dict[str, Path]:
    """What the base image is made of: all files beside its Dockerfile, and Slurm's."""
    files = {path.name: path for path in sorted(sources.iterdir()) if path.is_file()}
    return files | {f"{_IN_BASE}/{name}": path for name, path in _files_below(sources / _IN_BASE).items()}


def _own_sources(sources: Path, batch: Batch) -> dict[str, Path]:
    """The files of a batch system with an image of its own; none for those of the base image."""
    if batch.directory in (None, _IN_BASE):
        return {}
    directory = sources / str(batch.directory)
    if not (directory / "Dockerfile").is_file():
        raise LabError(f"this dgrid has no lab with {batch.value}: there is no {directory}/Dockerfile")
    return _files_below(directory)


def _files_below(directory: Path) -> dict[str, Path]:
    return {str(path.relative_to(directory)): path for path in sorted(directory.rglob("*")) if path.is_file()}


def _last_lines(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines[-_LINES_SHOWN:])
