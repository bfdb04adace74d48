"""The environment of every instance."""

from __future__ import annotations

from collections.abc import Mapping

from dgrid.plan.allocation import Allocation, Submitter
from dgrid.plan.definition import Container
from dgrid.plan.placement import Placed

Pairs = tuple[tuple[str, str], ...]


def shared_environment(
    container: Container,
    allocation: Allocation,
    submitter: Submitter,
    session: str,
    hosts: Mapping[str, str],
    hostfile: str,
) -> Pairs:
    """What all instances of a container have in common; the stronger wins, weakest first:

    the batch system's job variables; HOME, USER, LOGNAME; the definition's; its links, with the host name from
    ``hosts`` (container name -> host); DGRID_JOB ("" outside a job), DGRID_SESSION, DGRID_HOSTFILE.
    """
    merged = dict(allocation.job_variables)
    merged |= {"HOME": submitter.home, "USER": submitter.name, "LOGNAME": submitter.name}
    merged |= dict(container.environment)
    merged |= {link.variable: hosts[link.container] for link in container.links}
    merged |= {"DGRID_JOB": allocation.job_id or "", "DGRID_SESSION": session, "DGRID_HOSTFILE": hostfile}
    for own in ("DGRID_NAME", "DGRID_INDEX", "DGRID_NODE"):
        merged.pop(own, None)
    return tuple(merged.items())


def own_environment(instance: Placed) -> Pairs:
    """What tells one instance from the others. ``DGRID_NAME`` is ``worker-2``, ``DGRID_INDEX`` counts from 1."""
    return (
        ("DGRID_NAME", instance.name),
        ("DGRID_INDEX", str(instance.index)),
        ("DGRID_NODE", instance.node.name),
    )


def with_gpus(environment: Pairs, gpus: tuple[str, ...] | None) -> Pairs:
    """With what programs go by to find these GPUs and no others; None leaves all as it is.

    NVIDIA's runtime gives a container the GPUs of ``NVIDIA_VISIBLE_DEVICES``, which images of CUDA set to "all", and
    none for "void" (NVIDIA Container Toolkit, "Specialized Configurations with Docker"). Those it gives are counted
    from 0 in the container, while UUIDs stay (CUDA C Programming Guide, "CUDA Environment Variables"). A
    ``CUDA_VISIBLE_DEVICES`` of the definition's own can only choose among them, and stays.
    """
    if gpus is None:
        return environment
    merged = {**dict(environment), "NVIDIA_VISIBLE_DEVICES": ",".join(gpus) or "void"}
    numbered = all(one.isdecimal() for one in gpus)
    if gpus:
        merged.setdefault("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(len(gpus))) if numbered else gpus))
    return tuple(merged.items())
