"""Tables as coloured grids: who reads whom, who is taken for whom, how often networks agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb

from xai.evidence import Evidence
from xai.figures.panel_kinds import Agreement, Confusion
from xai.figures.sheet import Area, Drawn, Table
from xai.figures.style import SMALL, text_width

TITLES = {
    "deformable": "3D deformable attention", "joint": "joint stride attention",
    "temporal": "temporal stride attention", "frame": "attention in a frame",
}  # fmt: skip
SEVERAL = {"patch": "patches", "point": "points", "joint": "joints"}
CELL, WIDEST, LEGIBLE = 0.19, 0.62, 0.17
"""Inches: height of a cell, its width at most, and the width from which a number fits into it."""
GAP = 0.05


def who_reads(area: Area, evidence: Evidence, layer: int | None = None) -> Drawn:
    """One grid for each attention of a block: rows read, columns are read; the numbers are attention mass (raw)."""
    flow = evidence.token_flow
    layers = len(flow.values)
    if layer is not None and layer > layers:
        raise ValueError(f"the network has {layers} blocks; block {layer} was asked for.")
    at = (layer or layers) - 1
    _, attentions, readers, read = (list(axis.labels) for axis in flow.axes)
    top = area.heading(f"Who reads whom in block {at + 1}: attention mass, by kind of token.")
    base = np.broadcast_to(flow.base_rate, flow.values.shape)
    tables = []
    for a, attention in enumerate(attentions):
        rows = [i for i in range(len(readers)) if np.isfinite(flow.values[at, a, i]).any()]
        columns = [j for j in range(len(read)) if rows and (flow.values[at, a, rows, j] > 0).any()]
        if not columns:
            continue
        cells = np.ix_(rows, columns)
        mass, uniform = flow.values[at, a][cells], base[at, a][cells]
        top += area.words(top, TITLES.get(attention, attention), size=SMALL) + 0.02
        names = [SEVERAL.get(readers[i], readers[i]) for i in rows], [SEVERAL.get(read[j], read[j]) for j in columns]
        top += grid(area, top, *names, mass, [[f"{value:.2f}" for value in row] for row in mass], level=False) + 0.1
        values = {"attention mass": mass, "uniform": uniform}
        tables.append(Table(attention, {"reader": names[0], "read": names[1]}, values))
    caption = (
        f"Attention mass that one token of each kind (rows) gives to all tokens of another (columns) in block {at + 1}"
        ", raw, mean over heads and tokens; every row sums to 1. What uniform attention would give is in the numbers "
        "beside the figure."
    )
    return Drawn(top, caption, tuple(tables))


def confusion(area: Area, options: Confusion) -> Drawn:
    """Rows are what clips are, columns what they are said to be; colour is the share of the row."""
    counts = _checked(options.rows, options.columns, options.counts, "counts")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.array([[row == column for column in options.columns] for row in options.rows])
    hits, total = int(counts[right].sum()), int(counts.sum())
    top = area.heading(f"Who is taken for whom{f': {options.of}' if options.of else ''}.")
    of = f", {options.of}" if options.of else ""
    words = [[str(int(count)) if count else "" for count in row] for row in counts]
    height = grid(area, top, options.rows, options.columns, share, words, right=right, level=True)
    caption = (
        f"Clips by what they are (rows) and what they are said to be (columns){of}: {hits} of {total} on the diagonal; "
        "the numbers are clips, the colour is their share of the row, blue where the answer is right and orange where "
        "it is wrong."
    )
    table = Table("confusion", {"is": options.rows, "said to be": options.columns}, {"clips": counts})
    return Drawn(top + height, caption, (table,))


def agreement(area: Area, options: Agreement) -> Drawn:
    """The share of clips on which two networks say the same, over what chance would give."""
    same = _checked(options.names, options.names, options.same, "same")
    chance = _checked(options.names, options.names, options.chance, "chance")
    top = area.heading(f"How often do they say the same{f': {options.of}' if options.of else ''}?")
    apart = ~np.eye(len(same), dtype=bool)
    words = [[f"{100 * v:.0f} %" if apart[i, j] else "" for j, v in enumerate(row)] for i, row in enumerate(same)]
    height = grid(area, top, options.names, options.names, np.where(apart, same, 0), words, level=True)
    pairs = "; ".join(
        f"{a} and {b} {100 * same[i, j]:.1f} % (by chance {100 * chance[i, j]:.1f} %)"
        for i, a in enumerate(options.names)
        for j, b in enumerate(options.names)
        if i < j
    )
    caption = f"Share of clips with the same answer{f', {options.of}' if options.of else ''}: {pairs}."
    names = {"one": options.names, "other": options.names}
    return Drawn(top + height, caption, (Table("agreement", names, {"same": same, "by chance": chance}),))


def _checked(rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], what: str) -> np.ndarray:
    if len(values) != len(rows) or any(len(row) != len(columns) for row in values) or not rows or not columns:
        raise ValueError(f"{what} must have {len(rows)} rows of {len(columns)} numbers, one for each name.")
    return np.asarray(values, float)


def grid(
    area: Area, top: float, rows: Sequence[str], columns: Sequence[str], share: np.ndarray,
    words: Sequence[Sequence[str]], right: np.ndarray | None = None, level: bool = False,
) -> float:  # fmt: skip
    """Cells coloured by `share` (0 to 1) with their names around them; returns the height. `level`: names of columns
    stand upright, one over the other."""
    theme = area.look.theme
    left = min(0.4 * area.width, max(text_width(name, SMALL) for name in rows) + GAP)
    wide = min(WIDEST, (area.width - left) / len(columns))
    above = max(text_width(name, SMALL) for name in columns) + GAP if level else 0.14
    axes = area.axes(left, top + above, wide * len(columns), CELL * len(rows))
    paper, main, other = (np.array(to_rgb(colour)) for colour in (theme.paper, theme.main, theme.other))
    strength = np.clip(np.where(share > 0, 0.12 + 0.83 * share, 0), 0, 1)[..., None]
    hue = main if right is None or not right.any() else np.where(right[..., None], main, other)
    axes.imshow(paper + strength * (hue - paper), aspect="auto", interpolation="nearest")
    axes.set_xticks(range(len(columns)), columns, rotation=90 if level else 0, size=SMALL)
    axes.set_yticks(range(len(rows)), rows, size=SMALL)
    axes.tick_params(length=0, labeltop=True, labelbottom=False, top=False, bottom=False, pad=1.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if wide >= LEGIBLE:
        for i, row in enumerate(words):
            for j, word in enumerate(row):
                ink = theme.paper if strength[i, j, 0] > 0.5 else theme.ink
                axes.text(j, i, word, ha="center", va="center_baseline", size=SMALL - 0.5, color=ink)
    return above + CELL * len(rows)
