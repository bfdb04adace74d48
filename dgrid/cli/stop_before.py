"""``--stop-before``: a run that ends in order ahead of the end of its job."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from dgrid.batch.remaining import Remaining, Sources, remaining
from dgrid.cli.narrator import StderrNarrator
from dgrid.errors import UsageError
from dgrid.units import format_duration, parse_duration

if TYPE_CHECKING:
    from dgrid.nodes.signals import StopSignals


def stop_before_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option ``stop_before``: seconds, or None."""
    return click.option(
        "--stop-before",
        metavar="TIME",
        callback=_seconds,
        help='End the run, as TERM does, that long before the end of the job: "30s", "5m", "1:00:00".',
    )(command)


def stopped_before(
    before_s: float | None, environment: Mapping[str, str], stop: StopSignals, narrator: StderrNarrator
) -> AbstractContextManager[None]:
    """Within it the run ends ``before_s`` ahead of its job; None is not at all.

    Where the batch system does not tell how long the job may run, it warns, and the option has no effect. Raises
    UsageError where the job is too near its end already.
    """
    if before_s is None:
        return nullcontext()

    from dgrid.nodes.walltime import EarlyEnd, age_of_job, ask

    def look() -> Remaining:
        return remaining(Sources(environment, time.time(), ask, age_of_job))

    found = look()
    if found.left_s is None:
        narrator.note(f"--stop-before has no effect: {found.why}")
        return nullcontext()
    if found.left_s <= before_s:
        raise UsageError(
            f"--stop-before {format_duration(before_s)}: the job has only {format_duration(found.left_s)} left — "
            "ask for a longer walltime, or give a shorter time"
        )
    return EarlyEnd(found.left_s, before_s, lambda: look().left_s, stop, narrator).watched()


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if seconds <= 0:
        raise click.BadParameter("it is a time above 0")
    return seconds
