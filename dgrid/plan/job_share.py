"""What of one node is the job's, as its batch system tells: GPUs, CPUs, memory."""

from __future__ import annotations

from collections.abc import Iterable

from dgrid.record import record
from dgrid.units import format_size


@record
class JobShare:
    """None stands for what is not told; no GPUs is an empty tuple.

    ``gpus`` are the ids by which engines know them: NVIDIA's index ("0") or UUID ("GPU-5c4f..."). ``cpus`` are the
    kernel's numbers; ``cpu_count`` is told also where these are not. ``silence`` says why no GPUs are told.
    """

    gpus: tuple[str, ...] | None = None
    cpus: tuple[int, ...] | None = None
    cpu_count: int | None = None
    memory_bytes: int | None = None
    silence: str = ""

    def filled(self, other: JobShare) -> JobShare:
        """With the other's answers where this one has none."""
        return JobShare(
            other.gpus if self.gpus is None else self.gpus,
            other.cpus if self.cpus is None else self.cpus,
            other.cpu_count if self.cpu_count is None else self.cpu_count,
            other.memory_bytes if self.memory_bytes is None else self.memory_bytes,
            self.silence or other.silence,
        )

    def joined(self, other: JobShare) -> JobShare:
        """Of a job that has two parts of one node: both's GPUs, CPUs and memory; what one does not tell is not told."""
        gpus = None if self.gpus is None or other.gpus is None else tuple(dict.fromkeys((*self.gpus, *other.gpus)))
        cpus = None if self.cpus is None or other.cpus is None else tuple(sorted({*self.cpus, *other.cpus}))
        count, memory = _sum(self.cpu_count, other.cpu_count), _sum(self.memory_bytes, other.memory_bytes)
        return JobShare(gpus, cpus, count, memory, self.silence or other.silence)


NOT_TOLD = JobShare()


def shared(share: JobShare) -> str:
    """``shared(JobShare(("0", "2"), cpu_count=4)) == "GPUs 0 and 2, 4 CPUs"``: what is told, in words."""
    gpus, cpus, count = share.gpus, share.cpus, share.cpu_count
    words = []
    if gpus is not None:
        words.append(f"GPU{'s' * (len(gpus) > 1)} {' and '.join(gpus)}" if gpus else "no GPU")
    if cpus is not None:
        words.append(f"CPU{'s' * (len(cpus) > 1)} {cpu_list(cpus)}")
    elif count is not None:
        words.append(f"{count} CPU{'s' * (count > 1)}")
    if share.memory_bytes is not None:
        words.append(f"{format_size(share.memory_bytes)} of memory")
    return ", ".join(words)


def cpu_numbers(text: str) -> tuple[int, ...]:
    """``cpu_numbers("0-2,8") == (0, 1, 2, 8)``, as the kernel writes sets of CPUs (cpuset(7)). Raises ValueError."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return tuple(sorted(found))


def cpu_list(numbers: Iterable[int]) -> str:
    """``cpu_list((0, 1, 2, 8)) == "0-2,8"``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _sum(one: int | None, two: int | None) -> int | None:
    return None if one is None or two is None else one + two
