"""What measurements come to: figures, each with its floor, its target and a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """``value`` against ``target``: at most it, or at least it. ``detail`` is what both came from."""

    part: str
    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    detail: str = ""

    @property
    def is_met(self) -> bool | None:
        """None where no target is set."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def row(self) -> str:
        """A row of the table."""
        sign = "≥" if self.at_least else "≤"
        target = "" if self.target is None else f"{sign} {number(self.target)}{self.unit and ' ' + self.unit}"
        verdict = {True: "met", False: "missed", None: ""}[self.is_met]
        shown = f"{number(self.value)}{self.unit and ' ' + self.unit}"
        return f"| {self.part} | {self.name} | {shown} | {target} | {verdict} | {self.detail} |"


def number(value: float) -> str:
    """Three digits that count."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def of_runs(values: Sequence[float], unit: str = "s") -> str:
    """The median, with what it is of: ``0.52 s (0.49 to 0.61, 5 runs)``."""
    return f"{number(median(values))} {unit} ({number(min(values))} to {number(max(values))}, {len(values)} runs)"


def table(figures: Iterable[Figure]) -> str:
    """Markdown."""
    head = "| part | figure | measured | target | verdict | from |\n|---|---|---|---|---|---|"
    return "\n".join([head, *(one.row() for one in figures)])


def growth(points: Sequence[tuple[float, float]]) -> float:
    """The exponent b of the power law a * x**b that fits best (least squares of the logarithms)."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum((x - mean_x) ** 2 for x in xs)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line that fits best."""
    mean_x, mean_y = sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
