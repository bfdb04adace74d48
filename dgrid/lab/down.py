"""Removing a lab: everything that carries its label, until nothing does."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from dgrid.errors import LabError
from dgrid.lab.machine import Machine
from dgrid.lab.shape import LABEL

_SWEEPS = 20


def down(machine: Machine, name: str) -> int:
    """Removes containers, networks and volumes labelled with this lab's name; gives their number.

    Works on half-made labs, and twice. A create that was under way when its caller died is carried out all the
    same, so it sweeps until a sweep finds nothing. Raises LabError with what could not be removed.
    """
    removed = 0
    for sweep in range(_SWEEPS):
        found, failures = _sweep(machine, name)
        if not found:
            return removed
        removed += found - len(failures)
        if failures and sweep == _SWEEPS - 1:
            raise LabError(f"left of lab {name}:\n" + "\n".join(f"  {failure}" for failure in failures))
        if failures:
            time.sleep(0.2)
    raise LabError(f"lab {name} keeps growing while it is removed: is another dgrid lab up running?")


def _sweep(machine: Machine, name: str) -> tuple[int, list[str]]:
    client = machine.client()
    label = {"label": f"{LABEL}={name}"}
    containers = [one["Id"] for one in client.containers(all=True, filters=label)]
    failures = _each(machine, "remove_container", containers, v=True, force=True)
    networks = [one["Id"] for one in client.networks(filters=label)]
    failures += _each(machine, "remove_network", networks)
    volumes = [one["Name"] for one in client.volumes(filters=label)["Volumes"] or []]
    failures += _each(machine, "remove_volume", volumes, force=True)
    return len(containers) + len(networks) + len(volumes), failures


def _each(machine: Machine, call: str, names: list[str], **options: bool) -> list[str]:
    def remove(name: str) -> str | None:
        import docker.errors

        try:
            getattr(machine.client(), call)(name, **options)
        except docker.errors.NotFound:
            return None
        except docker.errors.APIError as error:
            return f"{name}: {error.explanation}"
        return None

    if not names:
        return []
    with ThreadPoolExecutor(max_workers=16) as pool:
        return [failure for failure in pool.map(remove, names) if failure]
