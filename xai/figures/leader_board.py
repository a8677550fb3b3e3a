"""Leader-board of the known-cause benchmark: one panel a target, one row a method, its interval and its base rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from xai.figures.sheet import Area, Drawn, Entry, Table
from xai.figures.style import SMALL, Theme
from xai.known_cause import TARGETS
from xai.known_cause_table import Row

TITLES = {"joints": "deciding joints", "frames": "deciding frames", "pixels": "deciding pixels"}
WORDS = {"pointing": "share of clips pointed at right", "mass": "share of mass on the cause", "rank": "rank (AUC)"}


def leader_board(area: Area, rows: Sequence[Row], measure: str, kind: str = "all") -> Drawn:
    """Methods by one measure, target by target, ordered by how far they are above their base rate.

    Raises: ValueError where there are no such rows.
    """
    chosen = [row for row in rows if row.measure == measure and row.kind == kind]
    if not chosen:
        kinds = ", ".join(sorted({row.kind for row in rows}))
        raise ValueError(f"there are no scores of {measure} of kind {kind!r}; kinds are {kinds}.")
    theme, label = area.look.theme, 1.45
    top = area.heading("Known causes: which methods point at what decides?")
    key = [
        Entry("mean and 95 % interval", theme.main, "dot"),
        Entry("the same, not above the base rate", theme.soft, "dot"),
        Entry("base rate: a map that knows nothing", theme.paper, "dot", edge=theme.other),
    ]
    top += area.key(top, key) + 0.08
    for target in [target for target in TARGETS if any(row.target == target for row in chosen)]:
        of_target = [row for row in chosen if row.target == target]
        height = 0.17 * (len(of_target) + 0.6)
        clips = sorted({row.clips for row in of_target})
        count = f"{clips[0]}" if len(clips) == 1 else f"{clips[0]} to {clips[-1]}"
        top += area.words(top, f"{TITLES[target]}, {count} clips", weight="bold") + 0.02
        axes = area.axes(label, top, area.width - label - 0.08, height)
        panel(axes, of_target, theme)
        axes.tick_params(axis="y", labelsize=SMALL, length=0)
        top += height + 0.22
    axes.set_xlabel(WORDS[measure])
    columns = {
        name: np.asarray([getattr(row, name) for row in chosen]) for name in ("mean", "low", "high", "base", "clips")
    }
    table = Table("leader board", {"method": [f"{row.method} on {row.target}" for row in chosen]}, columns)
    caption = (
        f"Methods on clips whose cause is known: {WORDS[measure]}, mean and 95 % bootstrap interval over clips; "
        "hollow: what a map gets that knows nothing; grey: not above it."
    )
    return Drawn(top + 0.08, caption, (table,))


def panel(axes: Axes, rows: Sequence[Row], theme: Theme) -> None:
    """One target: its methods from best to worst above their base rate, each with its interval."""
    rows = sorted(rows, key=lambda row: row.mean - row.base)
    place = np.arange(len(rows))
    better = [row.low > row.base for row in rows]
    colours = [theme.main if above else theme.soft for above in better]
    axes.hlines(place, [row.low for row in rows], [row.high for row in rows], colors=colours, linewidth=1.6)
    axes.scatter([row.mean for row in rows], place, s=16, c=colours, zorder=3)
    axes.scatter([row.base for row in rows], place, s=16, facecolors=theme.paper, edgecolors=theme.other, zorder=2)
    several = {name for name, count in Counter(row.method for row in rows).items() if count > 1}
    axes.set_yticks(place, [f"{row.method} ({row.on})" if row.method in several else row.method for row in rows])
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.grid(axis="x", linewidth=0.3, color=theme.line)
    axes.set_axisbelow(True)
