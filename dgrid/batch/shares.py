"""GPUs, CPUs and memory of a job as batch systems write them: lists of devices, and who is silent about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from dgrid.batch.listing import shown_name
from dgrid.batch.sources import Surroundings
from dgrid.plan.job_share import NOT_TOLD, JobShare
from dgrid.plan.nodelist import same_host_key
from dgrid.record import record

_UUID = re.compile(r"(GPU|MIG)-[0-9A-Za-z/-]+")
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


@record
class JobShares:
    """What a batch system tells of each node: ``here`` of this machine, ``there`` by the node's name, ``every`` of all.

    ``taken`` are pairs of what was learnt and where: ("GPUs", "$SLURM_JOB_GPUS").
    """

    here: JobShare = NOT_TOLD
    there: Mapping[str, JobShare] = field(default_factory=dict)
    every: JobShare = NOT_TOLD
    taken: tuple[tuple[str, str], ...] = ()

    def of(self, name: str, is_local: bool) -> JobShare:
        """Of one node. Its name may be short where the system wrote the full one, and the other way round."""
        key, short = same_host_key(name), same_host_key(name).partition(".")[0]
        by_key = {same_host_key(one): share for one, share in self.there.items()}
        by_short = {one.partition(".")[0]: share for one, share in by_key.items()}
        told = by_key.get(key) or (by_short.get(short) if short == key or len(by_short) == len(by_key) else None)
        own = self.here if is_local else NOT_TOLD
        return own.filled(told or NOT_TOLD).filled(self.every)


def gpu_ids(text: str) -> tuple[str, ...] | None:
    """``gpu_ids("0,GPU-5c4f") == ("0", "GPU-5c4f")``; None for what is no list of GPUs."""
    words = tuple(dict.fromkeys(re.split(r"[\s,]+", text.strip()))) if text.strip() else ()
    return words if all(word.isdecimal() or _UUID.fullmatch(word) for word in words) else None


def ranges(text: str) -> tuple[str, ...]:
    """``ranges("0-1,3") == ("0", "1", "3")``: the indices of devices; what is none is left out."""
    found = (re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part.strip()) for part in text.split(","))
    return tuple(str(number) for one in found if one for number in range(int(one[1]), int(one[2] or one[1]) + 1))


def visible(around: Surroundings, *variables: str) -> tuple[tuple[str, ...] | None, str]:
    """The GPUs of this machine by the first of the variables that is set, and its name; "" if none is.

    Those of CUDA and its relatives come last: what the system itself sets for the job is told first.
    """
    for name in (*variables, *_VISIBLE):
        found = gpu_ids(around.environment.get(name, ""))
        if found:
            return found, name
    return None, ""


def own_gpus(around: Surroundings, system: str, *variables: str, remedy: str = "") -> JobShares:
    """For a system that tells a job's process of its own machine's GPUs alone."""
    found, name = visible(around, *variables)
    silence = f"{system} tells only which GPUs of dgrid's own node are the job's, by ${_VISIBLE[0]}{remedy}"
    taken = (("GPUs of this node", shown_name(name)),) if name else ()
    return JobShares(JobShare(gpus=found), every=JobShare(silence=silence), taken=taken)


def megabytes(text: str) -> int | None:
    """``megabytes("4096") == 4294967296``; None for what is no number above 0."""
    return int(text) * 1024**2 if text.isdecimal() and int(text) else None
