"""The image all hosts of a lab run: built once on this machine, named by the hash of what it is built from."""

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

if TYPE_CHECKING:
    from docker import APIClient

BASE = "debian:trixie-slim"
IMAGE_LABEL = "io.dgrid.lab.image"

_SOURCES = Path(__file__).parent / "image"
_REGISTRY_TIMEOUT_S = 20
_BUILD_SILENCE_S = 600
_LINES_SHOWN = 15


def image_tag() -> str:
    """``"dgrid-lab:3f2a91c07be5"``: other sources of the image give another tag."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return f"dgrid-lab:{digest.hexdigest()[:12]}"


def ensure_image(machine: Machine, say: Callable[[str], None], build_env: Mapping[str, str]) -> str:
    """The tag of the node image, built if this machine has none. ``build_env`` has the site's proxy settings.

    Takes nothing when it is there, else one to three minutes. Raises LabError with the build's last lines.
    """
    tag = image_tag()
    client = machine.client(_BUILD_SILENCE_S)
    if not has_image(client, tag):
        ensure_base(machine, say)
        say(f"building the node image {tag} (once; takes a minute or two)")
        _build(client, tag, build_env)
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
    import docker.errors

    client = machine.client()
    for image in client.images(filters={"label": IMAGE_LABEL}, quiet=True):
        try:
            client.remove_image(image, force=False)
        except docker.errors.APIError as error:
            if error.status_code != HTTPStatus.CONFLICT:  # in use
                raise LabError(f"cannot remove the node image {image[:19]}: {error.explanation}") from error


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


def _build(client: APIClient, tag: str, build_env: Mapping[str, str]) -> None:
    output: list[str] = []
    events = client.build(
        fileobj=io.BytesIO(_context()),
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


def _context() -> bytes:
    """The sources as a tar; fixed times and owners, so that the engine's build cache can know them again."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in _sources():
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mode = path.stat().st_size, 0o644
            tar.addfile(entry, io.BytesIO(path.read_bytes()))
    return buffer.getvalue()


def _sources() -> list[Path]:
    return sorted(path for path in _SOURCES.iterdir() if path.is_file())


def _last_lines(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines[-_LINES_SHOWN:])
