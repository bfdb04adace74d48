"""The container engine of this machine, on which labs are built."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dgrid.errors import LabError
from dgrid.record import record

if TYPE_CHECKING:
    from docker import APIClient

DEFAULT_ENGINE = "unix:///run/docker.sock"

_LOOK = "see that an engine listens there and that $DOCKER_HOST is right; unset, it is this machine's own engine"
_INSTALL = "install and start one (Debian: apt-get install docker.io; in a checkout of dgrid: scripts/prepare up)"


@record
class Machine:
    """``machine_at("unix:///run/docker.sock").client().version()``.

    A client is not thread-safe: each thread takes its own. ``cgroup_version`` is 1 or 2.
    """

    base_url: str
    api_version: str
    cgroup_version: int

    @property
    def is_here(self) -> bool:
        """Whether it is this very machine's, reached by a socket in the file system."""
        return self.base_url.startswith("unix://")

    def client(self, timeout_s: float = 60) -> APIClient:
        """A new client; making it costs no call to the engine."""
        return _client(self.base_url, self.api_version, timeout_s)


def machine_at(base_url: str) -> Machine:
    """The engine behind ``base_url`` (as in $DOCKER_HOST), once it has answered.

    Raises LabError that says what to do when there is none, or when the user may not use it.
    """
    import docker.errors
    import paramiko

    _try_socket(base_url)
    try:
        client = _client(base_url, "auto", timeout_s=10)
        return Machine(base_url, client.api_version, int(client.info().get("CgroupVersion") or 1))
    except (docker.errors.DockerException, paramiko.SSHException, OSError, EOFError, ValueError) as error:
        # OSError: what requests and sockets raise, those of ssh:// too. ValueError: a port that is no number.
        remedy = _INSTALL if base_url.startswith("unix://") else _LOOK
        raise LabError(f"the container engine at {base_url} does not answer ({error}); {remedy}") from error


@contextmanager
def failures_told() -> Iterator[None]:
    """What the engine refuses or breaks off within it becomes a LabError with the engine's own words."""
    try:
        yield
    except OSError as error:  # what requests raises is one, and so is the SDK's APIError
        import requests.exceptions

        if not isinstance(error, requests.exceptions.RequestException):
            raise
        raise LabError(f"this machine's engine failed: {getattr(error, 'explanation', None) or error}") from error


def _client(base_url: str, version: str, timeout_s: float) -> APIClient:
    import docker

    # base_url is always given: without it the SDK would follow the contexts of the docker command.
    return docker.APIClient(base_url=base_url, version=version, timeout=timeout_s)  # type: ignore[arg-type]


def _try_socket(base_url: str) -> None:
    """The SDK wraps every cause in the same words; the socket itself says which it is."""
    if not base_url.startswith("unix://"):
        return
    path = base_url.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
        except PermissionError as error:
            raise LabError(
                f"you may not use the container engine at {path} (permission denied); "
                "let root add you to the group docker (adduser NAME docker), and log in again"
            ) from error
        except OSError as error:
            raise LabError(f"no container engine answers at {path} ({error.strerror or error}); {_INSTALL}") from error
