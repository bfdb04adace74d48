"""docs/performance.md, from what was measured, with its plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from figures import Figure, table

_TEXT = Path(__file__).with_name("performance.md.in")


def page(measured: dict[str, Any], figures: list[Figure], file: Path) -> None:
    """Write the page, and the plots into ``images`` beside it."""
    text = _TEXT.read_text().format(table=table(figures), minutes=measured["minutes"], **measured["machine"])
    file.write_text(text)
    images = file.parent / "images"
    images.mkdir(exist_ok=True)
    _plot_start(measured["raw"]["start"], images / "performance-start.svg")
    _plot_scale(measured["raw"]["scale"]["curve"], images / "performance-scale.svg")


def _plot_start(raw: dict[str, Any], file: Path) -> None:
    from statistics import median

    figure, axes = _axes()
    ways = {
        "engines": "the engines' floor",
        "dgrid": "dgrid",
        "ssh": "ssh and docker run",
        "compose": "docker compose up",
    }
    for place, (way, name) in enumerate(ways.items()):
        at = [number + 0.2 * place for number, case in enumerate(raw) if way in raw[case]]
        axes.bar(at, [median(raw[case][way]["start_s"]) for case in raw if way in raw[case]], width=0.2, label=name)
    axes.set_xticks([number + 0.3 for number in range(len(raw))], list(raw))
    axes.set_xlabel("containers / nodes")
    axes.set_ylabel("s until the head's first byte")
    axes.legend()
    figure.savefig(file, metadata={"Date": None})


def _plot_scale(runs: list[dict[str, Any]], file: Path) -> None:
    figure, axes = _axes()
    nodes = [one["nodes"] for one in runs]
    axes.loglog(nodes, [one["start_s"] for one in runs], "o-", label="s until the head's first byte")
    axes.loglog(nodes, [one["cpu_s"] for one in runs], "s--", label="s of CPU of dgrid, whole run")
    axes.loglog(nodes, [one["memory_bytes"] / 1e9 for one in runs], "^:", label="GB of memory of dgrid")
    axes.set_xlabel("simulated nodes, a container each")
    axes.legend()
    figure.savefig(file, metadata={"Date": None})


def _axes() -> Any:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "dgrid"
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(7, 4), layout="constrained")
