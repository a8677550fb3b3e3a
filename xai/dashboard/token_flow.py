"""Who reads whom, as bands: what each kind of token reads in each attention of a block, by attention mass.

A band leads from who reads (left) to what is read (right), and its width is the mean attention mass that a token of the
one kind gives to all tokens of the other. The bands of each reader sum to 1, however many tokens of its kind there are.
Drawn from the player's payload, so that bundled clips need no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from xai.dashboard.colours import rgb, token_colour
from xai.dashboard.maps import token_name

TITLES = {
    "deformable": "3D deformable attention",
    "joint": "joint stride attention",
    "temporal": "temporal stride attention",
    "frame": "attention in a frame",
}
SEVERAL = {"patch": "patches", "point": "points", "joint": "joints"}
ROW, PAD = 34, 16
"""Pixels of height for a kind of token, of which so many lie between two of them: room for their names."""
WIDE = 0.84
"""Of the width is bands; the rest is names of what is read, which is often too thin to be written on."""


@dataclass(frozen=True, eq=False)
class Flow:
    """What the kinds of tokens read. NaN where a kind takes no part."""

    attentions: tuple[str, ...]
    readers: tuple[str, ...]
    read: tuple[str, ...]
    mass: np.ndarray
    """[layer, attention, reader, read] attention mass."""
    uniform: np.ndarray
    """The same for uniform attention: the share of each kind among the keys."""

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Flow | None:
        """None where a stored payload says nothing of it."""
        flow = payload.get("who_reads")
        if flow is None:
            return None
        return cls(
            tuple(flow["attention"]), tuple(flow["reader"]), tuple(flow["read"]), np.array(flow["mass"], float),
            np.array(flow["uniform"], float),
        )  # fmt: skip

    @property
    def layers(self) -> int:
        return len(self.mass)

    def bands(self, layer: int) -> list[Band]:
        """Every band of a block that is not empty."""
        found = []
        for a, attention in enumerate(self.attentions):
            for i, reader in enumerate(self.readers):
                for j, read in enumerate(self.read):
                    mass = float(self.mass[layer, a, i, j])
                    if mass > 0:
                        found.append(Band(attention, reader, read, mass, float(self.uniform[layer, a, i, j])))
        return found


@dataclass(frozen=True)
class Band:
    """One kind of token reads another."""

    attention: str
    reader: str
    read: str
    mass: float
    uniform: float

    @property
    def ratio(self) -> float:
        """How many times as much as uniform attention would give."""
        return self.mass / self.uniform

    @property
    def words(self) -> str:
        said = f"{kind_name(self.reader)} → {kind_name(self.read)}: attention mass {self.mass:.3f}"
        return f"{said}<br>uniform {self.uniform:.3f}, so {self.ratio:.2g} times that"


def kind_name(kind: str) -> str:
    return SEVERAL.get(kind, token_name(kind))


def flow_figure(flow: Flow, layer: int) -> go.Figure:
    """One Sankey diagram for each attention that takes place in the block, one under the other."""
    bands = flow.bands(layer)
    shown = [attention for attention in flow.attentions if any(band.attention == attention for band in bands)]
    heights = []
    for attention in shown:
        here = [band for band in bands if band.attention == attention]
        heights.append(ROW * max(len({band.reader for band in here}), len({band.read for band in here})) + 14)
    gap = 34
    total = sum(heights) + gap * len(shown) + 6
    figure = go.Figure()
    top = 0
    for attention, height in zip(shown, heights, strict=True):
        top += gap
        domain = [1 - (top + height) / total, 1 - top / total]
        here = [band for band in bands if band.attention == attention]
        _add(figure, here, flow, domain, height)
        figure.add_annotation(
            text=TITLES.get(attention, attention), x=0, xanchor="left", xref="paper", y=1 - (top - 6) / total,
            yanchor="bottom", yref="paper", showarrow=False, font={"size": 13},
        )  # fmt: skip
        top += height
    figure.update_layout(height=total, margin={"l": 2, "r": 0, "t": 0, "b": 0}, font={"size": 12})
    return figure


def _add(figure: go.Figure, bands: list[Band], flow: Flow, domain: list[float], height: float) -> None:
    """One attention, as a Sankey diagram of so many pixels in height, at `domain` of the figure."""
    readers = [kind for kind in flow.readers if any(band.reader == kind for band in bands)]
    read = [kind for kind in flow.read if any(band.read == kind for band in bands)]
    given = [sum(band.mass for band in bands if band.reader == kind) for kind in readers]
    taken = [sum(band.mass for band in bands if band.read == kind) for kind in read]
    unit = (height - PAD * (max(len(readers), len(read)) - 1)) / sum(given)
    left, right = _middles(given, unit, height), _middles(taken, unit, height)
    lists = ", ".join
    about = [
        f"{kind_name(kind)}: {lists(f'{kind_name(b.read)} {b.mass:.2g}' for b in bands if b.reader == kind)}"
        for kind in readers
    ] + [
        f"{kind_name(kind)}, by {lists(f'{kind_name(b.reader)} {b.mass:.2g}' for b in bands if b.read == kind)}"
        for kind in read
    ]
    figure.add_sankey(
        domain={"x": [0, WIDE], "y": domain},
        arrangement="fixed",
        node={
            "label": [*map(kind_name, readers), *([""] * len(read))],
            "color": [token_colour(kind) for kind in (*readers, *read)],
            "x": [0.001] * len(readers) + [0.999] * len(read), "y": [*left, *right],
            "pad": PAD, "thickness": 12, "line": {"width": 0}, "customdata": about,
            "hovertemplate": "%{customdata} (attention mass)<extra></extra>",
        },
        link={
            "source": [readers.index(band.reader) for band in bands],
            "target": [len(readers) + read.index(band.read) for band in bands],
            "value": [band.mass for band in bands],
            "color": [_pale(token_colour(band.reader)) for band in bands],
            "customdata": [band.words for band in bands], "hovertemplate": "%{customdata}<extra></extra>",
        },
    )  # fmt: skip
    for kind, middle in zip(read, right, strict=True):
        figure.add_annotation(
            text=kind_name(kind), x=WIDE + 0.015, xanchor="left", xref="paper", yref="paper", yanchor="middle",
            y=domain[1] - middle * (domain[1] - domain[0]), showarrow=False, font={"size": 12},
        )  # fmt: skip


def _middles(masses: list[float], unit: float, height: float) -> list[float]:
    """Where nodes of so many pixels a unit of mass stand, one under the other with `PAD` between: 0 at the top to 1."""
    middles, top = [], 0.0
    for mass in masses:
        middles.append((top + mass * unit / 2) / height)
        top += mass * unit + PAD
    return [min(max(middle, 0.001), 0.999) for middle in middles]  # plotly ignores the very ends


def _pale(colour: str) -> str:
    if not colour.startswith("#"):
        return colour
    red, green, blue = rgb(colour)
    return f"rgba({red},{green},{blue},0.5)"


def table(flow: Flow, layer: int) -> list[dict[str, Any]]:
    """The bands as rows of numbers."""
    return [
        {
            "attention": TITLES.get(band.attention, band.attention),
            "who reads": kind_name(band.reader),
            "what is read": kind_name(band.read),
            "attention mass": band.mass,
            "uniform": band.uniform,
            "times uniform": band.ratio,
        }
        for band in flow.bands(layer)
    ]
