"""A run as a whole: its nodes are reached, the job is carried out on them, and all connections are cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module

from dgrid.errors import DgridError
from dgrid.nodes.cluster import open_cluster
from dgrid.nodes.fanout import Meanwhile
from dgrid.nodes.narrator import Narrator
from dgrid.nodes.output import LogDirectory
from dgrid.nodes.signals import StopSignals
from dgrid.nodes.terminal import Streams
from dgrid.order import Order
from dgrid.plan.facts import NodeFacts
from dgrid.plan.plan import Plan, make_plan
from dgrid.plan.ssh import UNMADE, RunKeys
from dgrid.report import count, gather

_NEEDED_ON_NODES = ("dgrid.on_nodes", "dgrid.nodes.archive")


def run(order: Order, streams: Streams, stop: StopSignals, narrator: Narrator) -> int:
    """Run the whole job and return the head container's exit code; nothing of it is left when this returns or raises.

    Raises a DgridError with the exit code the process is to end with.
    """
    try:
        return _run(order, streams, stop, narrator)
    except DgridError as error:
        from dgrid.nodes.start import refuses_job_cgroup

        if not refuses_job_cgroup(error):
            raise
        narrator.note(f"{error}\nbeginning again, with the job's limits for each container and not in the job's cgroup")
    limited = replace(order, settings=replace(order.settings, job_limits="copy"))
    return _run(limited, streams, stop, narrator)


def _run(order: Order, streams: Streams, stop: StopSignals, narrator: Narrator) -> int:
    logs = LogDirectory(order.log_dir) if order.log_dir else None
    draft = _plan(order, {}, UNMADE)
    _note_all(draft.warnings, narrator)
    narrator.phase(f"checking {count(len(draft.nodes), 'node')}")
    loading = Meanwhile(lambda: _load(order.session))
    with open_cluster(draft, order.submitter.uid, order.settings, stop) as cluster:
        for remark in gather((one.name, one.remark) for one in cluster.machines if one.remark):
            narrator.milestone(remark)
        facts, keys = cluster.facts(), loading.result(stop)
        plan = _plan(order, facts, keys)
        _note_all((warning for warning in plan.warnings if warning not in draft.warnings), narrator)
        from dgrid.on_nodes import carry_out

        return carry_out(plan, cluster, order, streams, stop, narrator, logs)


def _load(session: str) -> RunKeys:
    """The run's keys; while nodes are waited for, all is loaded that is needed once they are reached."""
    from dgrid.nodes.run_keys import make_run_keys

    keys = make_run_keys(session)
    for module in _NEEDED_ON_NODES:
        import_module(module)
    return keys


def _plan(order: Order, facts: Mapping[str, NodeFacts], keys: RunKeys) -> Plan:
    return make_plan(
        order.definition, order.allocation, order.submitter, order.session, facts, order.oversubscribe, keys
    )


def _note_all(warnings: Iterable[str], narrator: Narrator) -> None:
    for warning in warnings:
        narrator.note(warning)
