"""The name of a lab, which one start alone may have: the lab's network is what takes it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from dgrid.errors import LabError
from dgrid.lab.find import lab_names
from dgrid.lab.machine import Machine
from dgrid.lab.parts import object_name
from dgrid.lab.shape import LABEL

_CLAIM_LABEL = "io.dgrid.lab.claim"
"""On a lab's network; its value is that of the start that made it, and of no other."""


def check_free(machine: Machine, name: str) -> None:
    """Raises LabError where there is anything of a lab of that name."""
    if name in lab_names(machine.client()):
        raise _taken(name)


def take_name(machine: Machine, name: str, claim: str) -> None:
    """Creates the lab's network. Raises LabError where another start has the name, and the engine's APIError.

    Two starts at the very same moment may both be refused; neither removes anything of the other's.
    """
    import docker.errors

    labels = {LABEL: name, _CLAIM_LABEL: claim}
    try:
        machine.client().create_network(object_name(name, "net"), driver="bridge", check_duplicate=True, labels=labels)
    except docker.errors.APIError as error:
        if error.status_code == HTTPStatus.CONFLICT:
            check_free(machine, name)
        raise
    # https://docs.docker.com/reference/api/engine/version/v1.41/: CheckDuplicate "is not guaranteed to catch all name
    # collisions".
    if is_anothers(machine, name, claim):
        raise _taken(name)


def is_anothers(machine: Machine, name: str, claim: str) -> bool:
    """Whether another start than that of the claim has a network of the lab."""
    return any(_claim_of(network) != claim for network in _networks(machine, name))


def give_back(machine: Machine, name: str, claim: str) -> None:
    """Removes the network of that claim, if there is one, and nothing else."""
    for network in _networks(machine, name):
        if _claim_of(network) == claim:
            machine.client().remove_network(network["Id"])


def _networks(machine: Machine, name: str) -> list[dict[str, Any]]:
    return list(machine.client().networks(filters={"label": f"{LABEL}={name}"}))


def _claim_of(network: dict[str, Any]) -> str | None:
    return (network["Labels"] or {}).get(_CLAIM_LABEL)


def _taken(name: str) -> LabError:
    return LabError(
        f"there is a lab {name} already; choose another --name, or remove it with: dgrid lab down --name {name}"
    )
