"""The leader-board of the known-cause benchmark, from `assets/leader_board.json`, drawn for a page without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from xai.dashboard.colours import ACCENT, GREY

TITLES = {"joints": "deciding joints", "frames": "deciding frames", "pixels": "deciding pixels"}
MEASURES = {
    "rank": "rank of the cause (AUC)",
    "pointing": "share of clips pointed at right",
    "mass": "share of mass on the cause",
}
NEEDED = {"method", "on", "target", "measure", "kind", "clips", "mean", "low", "high", "base"}


@dataclass(frozen=True)
class Board:
    """Rows of the benchmark (xai/known_cause_bench.py) as plain values, and how they were made."""

    rows: tuple[Mapping[str, Any], ...]
    about: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Board | None:
        """The board in a file; None when there is none. Raises ValueError for a file that is no board."""
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            rows = tuple(row for row in found["rows"] if set(row) >= NEEDED)
            about = {name: str(found.get(name, "")) for name in ("checkpoint", "clips", "command")}
            if name := found.get("name"):
                about["checkpoint"] = f"{name} ({about['checkpoint']})"
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path.name} cannot be read as a leader-board: it needs a list of rows.") from error
        return cls(rows, about)

    def options(self, name: str, among: Sequence[str] = ()) -> list[str]:
        """The values of a column that occur, in the order of `among`, then as they come."""
        there = list(dict.fromkeys(str(row[name]) for row in self.rows))
        return [each for each in among if each in there] + [each for each in there if each not in among]

    def chosen(self, measure: str, kind: str) -> list[Mapping[str, Any]]:
        return [r for r in self.rows if (r["measure"], r["kind"]) == (measure, kind) and r["target"] in TITLES]


def board_figure(rows: Sequence[Mapping[str, Any]], measure: str) -> go.Figure:
    """A panel a target; methods ordered by how far they are above what a map that knows nothing gets."""
    targets = [target for target in TITLES if any(row["target"] == target for row in rows)]
    panels = [sorted((r for r in rows if r["target"] == t), key=lambda r: r["mean"] - r["base"]) for t in targets]
    titles = [f"{TITLES[target]}, {_clips(panel)}" for target, panel in zip(targets, panels, strict=True)]
    total = sum(len(panel) for panel in panels)
    figure = make_subplots(
        len(targets), 1, shared_xaxes=True, subplot_titles=titles, row_heights=[len(panel) for panel in panels],
        vertical_spacing=min(0.12, 46 / (60 + 24 * total)),
    )  # fmt: skip
    for number, panel in enumerate(panels, start=1):
        names = [name_of(row, panel) for row in panel]
        colours = [ACCENT if row["low"] > row["base"] else GREY for row in panel]
        first = number == 1
        figure.add_scatter(
            x=[row["base"] for row in panel], y=names, mode="markers", name="a map that knows nothing",
            marker={"symbol": "line-ns-open", "size": 12, "color": "#d55e00", "line": {"width": 2}},
            hovertemplate="%{y}<br>base rate %{x:.3f}<extra></extra>", showlegend=first, row=number, col=1,
        )  # fmt: skip
        figure.add_scatter(
            x=[row["mean"] for row in panel], y=names, mode="markers", name="mean, 95 % interval",
            error_x={
                "array": [row["high"] - row["mean"] for row in panel],
                "arrayminus": [row["mean"] - row["low"] for row in panel], "thickness": 2, "width": 0,
                "color": GREY,
            },
            marker={"size": 9, "color": colours}, showlegend=first, row=number, col=1,
            customdata=[[row["low"], row["high"], row.get("seconds", 0.0)] for row in panel],
            hovertemplate="%{y}<br>%{x:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})<br>"
            "%{customdata[2]:.2g} s a clip<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(range=[-0.02, 1.02], showgrid=True, showticklabels=True)
    figure.update_xaxes(title=MEASURES.get(measure, measure), row=len(targets), col=1)
    figure.update_yaxes(tickfont={"size": 12})
    figure.update_layout(
        height=90 + 46 * len(targets) + 22 * total, margin={"l": 0, "r": 8, "t": 48, "b": 0},
        legend={"orientation": "h", "y": 1 + 34 / (90 + 22 * total), "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    figure.update_annotations(font_size=13, x=0, xanchor="left")
    return figure


def _clips(panel: Sequence[Mapping[str, Any]]) -> str:
    counts = [int(row["clips"]) for row in panel]
    return f"{max(counts)} clips" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)} clips"


def name_of(row: Mapping[str, Any], panel: Sequence[Mapping[str, Any]]) -> str:
    """The method; with what it was asked about, where it was asked about several things."""
    several = sum(other["method"] == row["method"] for other in panel) > 1
    return f"{row['method']} ({row['on']})" if several else str(row["method"])
