"""Removing a lab: everything that carries its label, until nothing does."""

from __future__ import annotations

import time
from collections.abc import Callable

from dgrid.errors import LabError
from dgrid.lab.machine import Machine
from dgrid.lab.parallel import in_parallel
from dgrid.lab.shape import HOST_LABEL, LABEL

_SWEEPS = 20


def down(machine: Machine, name: str, say: Callable[[str], None] = lambda _text: None) -> int:
    """Removes containers, networks and volumes labelled with this lab's name; gives their number.

    Works on half-made labs, and twice. A create that was under way when its caller died is carried out all the
    same, so it sweeps until a sweep finds nothing. ``say`` hears a line for each host that is gone, and for
    the rest. Raises LabError
    with what could not be removed.
    """
    removed = 0
    for sweep in range(_SWEEPS):
        found, failures = _sweep(machine, name, say)
        if not found:
            return removed
        removed += found - len(failures)
        if failures and sweep == _SWEEPS - 1:
            raise LabError(f"left of lab {name}:\n" + "\n".join(f"  {failure}" for failure in failures))
        if failures:
            time.sleep(0.2)
    raise LabError(f"lab {name} keeps growing while it is removed: is another dgrid lab up running?")


def remove_host(machine: Machine, container_ids: tuple[str, ...], volumes: tuple[str, ...]) -> None:
    """Removes one host's container, if it has one, and its volumes. Raises LabError with what could not be removed."""
    failures = _each(machine, "remove_container", [(each, "host") for each in container_ids], v=True, force=True)
    failures += _each(machine, "remove_volume", [(volume, "volume") for volume in volumes], force=True)
    if failures:
        raise LabError("\n".join(failures))


def _sweep(machine: Machine, name: str, say: Callable[[str], None]) -> tuple[int, list[str]]:
    client = machine.client()
    label = {"label": f"{LABEL}={name}"}
    hosts = [
        (one["Id"], one["Labels"].get(HOST_LABEL, one["Id"])) for one in client.containers(all=True, filters=label)
    ]
    hosts.sort(key=lambda host: (len(host[1]), host[1]))
    failures = _each(machine, "remove_container", hosts, say, v=True, force=True)
    networks = [(one["Id"], "the network") for one in client.networks(filters=label)]
    failures += _each(machine, "remove_network", networks, say)
    found = sorted(one["Name"] for one in client.volumes(filters=label)["Volumes"] or [])
    volumes = [(each, f"volume {each}") for each in found]
    left = _each(machine, "remove_volume", volumes, force=True)
    if len(volumes) > len(left):
        say(f"removed {len(volumes) - len(left)} volumes")
    failures += left
    return len(hosts) + len(networks) + len(volumes), failures


def _each(
    machine: Machine,
    call: str,
    things: list[tuple[str, str]],
    say: Callable[[str], None] = lambda _text: None,
    **options: bool,
) -> list[str]:
    """Removes things, each an id or name and a word for it; what could not be removed."""

    def remove(thing: tuple[str, str]) -> str | None:
        import docker.errors

        try:
            getattr(machine.client(), call)(thing[0], **options)
        except docker.errors.NotFound:
            return None
        except docker.errors.APIError as error:
            return f"{thing[1]}: {error.explanation}"
        return None

    def heard(thing: tuple[str, str], failure: str | None) -> None:
        if not failure:
            say(f"removed {thing[1]}")

    return [failure for failure in in_parallel(remove, tuple(things), heard) if failure]
