"""What the containers of runs use, sampled on all nodes at once."""

from __future__ import annotations

from collections.abc import Mapping

from dgrid.errors import EngineNotFound, NodeError
from dgrid.nodes.fanout import errors_of, fan_out
from dgrid.nodes.look import View
from dgrid.nodes.look_calls import check_counts, read_stats
from dgrid.nodes.signals import StopSignals
from dgrid.plan.usage import Sample, sample


def sample_all(view: View, stop: StopSignals) -> tuple[Mapping[str, Sample], tuple[NodeError, ...]]:
    """A sample of each running container, by container id, and what failed, once a node."""
    running = [one for one in view.listed if one.is_running]
    by_machine = [(machine, [one for one in running if one.machine == machine.name]) for machine in view.machines]

    def sample_machine(item: int) -> dict[str, Sample]:
        machine, listed = by_machine[item]
        found = {}
        if listed:
            check_counts(machine)
        for one in listed:
            try:
                found[one.container_id] = sample(read_stats(machine, one.container_id))
            except (EngineNotFound, KeyError, ValueError):
                continue  # it has just ended
        return found

    outcomes = fan_out(range(len(by_machine)), sample_machine, view.settings.parallel, stop)
    samples = {key: value for outcome in outcomes for key, value in (outcome.value or {}).items()}
    return samples, errors_of(outcomes)
