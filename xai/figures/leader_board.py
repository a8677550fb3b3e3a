"""Leader-board of the known-cause benchmark: one panel a target, one row a method, its interval and its base rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xai.figures.paper import PAGE_WIDTH, STYLE
from xai.known_cause import TARGETS
from xai.known_cause_bench import Row

TITLES = {"joints": "deciding joints", "frames": "deciding frames", "pixels": "deciding pixels"}
WORDS = {"pointing": "share of clips pointed at right", "mass": "share of mass on the cause", "rank": "rank (AUC)"}


def leader_board(rows: Sequence[Row], measure: str = "rank", kind: str = "all") -> Figure:
    """Methods ordered by how far they are above the base rate (hollow mark), with 95 % intervals."""
    chosen = [row for row in rows if row.measure == measure and row.kind == kind]
    targets = [target for target in TARGETS if any(row.target == target for row in chosen)]
    counts = [sum(row.target == target for row in chosen) for target in targets]
    with rc_context(STYLE):
        height = 0.5 + sum(0.45 + 0.17 * count for count in counts)
        figure = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
        FigureCanvasAgg(figure)
        panels = np.atleast_1d(figure.subplots(len(targets), 1, gridspec_kw={"height_ratios": counts}, sharex=True))
        for axes, target in zip(panels, targets, strict=True):
            panel(axes, [row for row in chosen if row.target == target], TITLES[target])
        panels[-1].set_xlabel(WORDS[measure])
    return figure


def panel(axes: Axes, rows: Sequence[Row], title: str) -> None:
    """One target: its methods from best to worst above their base rate, each with its interval."""
    rows = sorted(rows, key=lambda row: row.mean - row.base)
    place = np.arange(len(rows))
    better = [row.low > row.base for row in rows]
    colours = ["#0072b2" if above else "#8a8a8a" for above in better]
    axes.hlines(place, [row.low for row in rows], [row.high for row in rows], colors=colours, linewidth=1.6)
    axes.scatter([row.mean for row in rows], place, s=16, c=colours, zorder=3, label="mean, 95 % interval")
    axes.scatter([row.base for row in rows], place, s=16, facecolors="white", edgecolors="#d55e00", zorder=2,
                 label="a map that knows nothing")  # fmt: skip
    axes.set_yticks(place, [row.method for row in rows])
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.grid(axis="x", linewidth=0.3, color="#d0d0d0")
    axes.set_axisbelow(True)
    clips = sorted({row.clips for row in rows})
    count = f"{clips[0]}" if len(clips) == 1 else f"{clips[0]} to {clips[-1]}"
    axes.set_title(f"{title}  ({count} clips)", loc="left", fontweight="bold")
    axes.legend(loc="lower right", fontsize=6, frameon=False)
