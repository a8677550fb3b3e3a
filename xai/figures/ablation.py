"""An ablation on paper: accuracy of every row of a table, its mean with the interval over seeds, and each seed."""

from __future__ import annotations

import math

import numpy as np

from training.interval import spread_of
from xai.figures.panel_kinds import Ablation
from xai.figures.sheet import Area, Drawn, Entry, Table
from xai.figures.style import SMALL, text_width

ROW, FOOT = 0.21, 0.34
"""Inches of a row, and of what stands below the chart."""


def ablation(area: Area, options: Ablation) -> Drawn:
    """One row each, the first on top; a ring is one seed."""
    if len(options.rows) != len(options.accuracies) or not options.rows or not all(options.accuracies):
        raise ValueError(f"accuracies must be {len(options.rows)} lists of one or more numbers, one for each row.")
    theme = area.look.theme
    top = area.heading(f"{options.of or 'Ablation'}.")
    top += area.key(
        top,
        [Entry("mean, 95 % interval over seeds", theme.main, "dot"), Entry("one seed", theme.soft, "dot")],
    ) + 0.03  # fmt: skip
    spreads = [spread_of(values) for values in options.accuracies]
    left = min(0.45 * area.width, max(text_width(row, SMALL) for row in options.rows) + 0.08)
    axes = area.axes(left, top, area.width - left - 0.1, ROW * len(options.rows))
    for place, (values, (mean, half)) in enumerate(zip(options.accuracies, spreads, strict=True)):
        axes.scatter(
            [100 * v for v in values], [place] * len(values), s=9, facecolors="none", edgecolors=theme.soft, lw=0.6
        )
        if math.isfinite(half):
            axes.hlines(place, 100 * (mean - half), 100 * (mean + half), color=theme.main, lw=1.2)
        axes.scatter([100 * mean], [place], s=16, color=theme.main, zorder=3, lw=0)
    axes.set_yticks(range(len(options.rows)), options.rows, size=SMALL)
    axes.set_ylim(len(options.rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", lw=0.3, color=theme.line)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"accuracy on {options.clips}, %")
    means = np.array(spreads)
    table = Table("ablation", {"row": options.rows}, {"mean": means[:, 0], "half of the interval": means[:, 1]})
    seeds = sorted({len(values) for values in options.accuracies})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    caption = (
        f"{options.of or 'Ablation'}: accuracy on the {options.clips} at the last epoch, mean of {count} seeds with "
        "the 95 % interval over seeds (Student's t; none for one seed); each ring is one trained network."
    )
    return Drawn(top + ROW * len(options.rows) + FOOT, caption, (table,))
