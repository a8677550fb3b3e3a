"""The confusion matrix as a picture that can be clicked: rows are what clips are, columns what they were said to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from xai.dashboard.colours import GREY, rgb
from xai.dashboard.data_scores import Confusion

RIGHT, WRONG = "#2467c2", "#b9540a"
"""Dark enough for white numbers."""
STRONG = 0.3
"""Share of the row from which a cell is so dark that its number is white."""
STEPS = ((0.0, 0.0), (0.001, 0.16), (0.05, 0.32), (0.25, 0.6), (1.0, 0.95))
"""Share of the row -> opacity: a single mistake in a hundred clips must still be seen."""


def _scale(colour: str) -> list[list[Any]]:
    red, green, blue = rgb(colour)
    return [[share, f"rgba({red},{green},{blue},{opacity})"] for share, opacity in STEPS]


def matrix_figure(
    confusion: Confusion, chosen: tuple[str | None, str | None] = (None, None), ink: str = "#31333f"
) -> go.Figure:
    """Blue is right, orange is wrong; `chosen` (label, predicted) is framed. Each cell is a point to be selected."""
    rows, columns, counts = confusion.rows, confusion.columns, confusion.counts
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(total, 1)
    right = np.array([[row == column for column in columns] for row in rows]).reshape(counts.shape)
    judged = bool(right.any())
    figure = go.Figure()
    for colour, where in ((RIGHT, right if judged else ~right), (WRONG, ~right & judged)):
        if where.any():
            figure.add_heatmap(
                z=np.where(where, share, np.nan), x=list(range(len(columns))), y=list(range(len(rows))),
                colorscale=_scale(colour), zmin=0, zmax=1, showscale=False, xgap=1, ygap=1, hoverinfo="skip",
            )  # fmt: skip
    cells = [(i, j) for i in range(len(rows)) for j in range(len(columns)) if counts[i, j]]
    figure.add_scatter(
        x=[j for _, j in cells], y=[i for i, _ in cells], mode="markers+text",
        text=[str(counts[i, j]) for i, j in cells],
        textfont={"size": 10, "color": ["#ffffff" if share[i, j] >= STRONG else ink for i, j in cells]},
        customdata=[[rows[i], columns[j], int(counts[i, j]), int(total[i, 0]), float(share[i, j])] for i, j in cells],
        marker={"symbol": "square", "size": 22, "color": "rgba(0,0,0,0)"},
        selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}},
        hovertemplate="%{customdata[0]}<br>said to be %{customdata[1]}<br>%{customdata[2]} of %{customdata[3]} clips "
        "(%{customdata[4]:.0%})<extra></extra>", showlegend=False,
    )  # fmt: skip
    _frame(figure, rows, columns, chosen)
    small = 11 if len(rows) <= 24 else 9
    axis: dict[str, Any] = {"showgrid": False, "zeroline": False, "fixedrange": True, "tickfont": {"size": small}}
    figure.update_xaxes(
        tickvals=list(range(len(columns))), ticktext=columns, tickangle=-90, side="top", **axis,
        range=[-0.5, len(columns) - 0.5], title={"text": "said to be", "font": {"size": 12}, "standoff": 6},
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=rows, range=[len(rows) - 0.5, -0.5], **axis,
        title={"text": "is", "font": {"size": 12}, "standoff": 6},
    )  # fmt: skip
    figure.update_layout(
        height=170 + max(17, 26 - len(rows) // 4) * len(rows), margin={"l": 0, "r": 4, "t": 0, "b": 4},
        plot_bgcolor="rgba(0,0,0,0)", clickmode="event+select", dragmode=False, hovermode="closest",
    )  # fmt: skip
    return figure


def _frame(figure: go.Figure, rows: tuple[str, ...], columns: tuple[str, ...], chosen: tuple[Any, Any]) -> None:
    """A line around what is filtered: a row, a column or a cell."""
    label, predicted = (each if each in among else None for each, among in zip(chosen, (rows, columns), strict=True))
    if label is None and predicted is None:
        return
    top, bottom = (-0.5, len(rows) - 0.5) if label is None else (rows.index(label) - 0.5, rows.index(label) + 0.5)
    left, right = (
        (-0.5, len(columns) - 0.5)
        if predicted is None
        else (columns.index(predicted) - 0.5, columns.index(predicted) + 0.5)
    )
    figure.add_shape(
        type="rect", x0=left, x1=right, y0=top, y1=bottom, line={"color": GREY, "width": 2.5}, layer="above"
    )


def cell_of(selection: Any) -> tuple[str, str] | None:
    """(label, predicted) of the cell that was clicked."""
    points = ((selection or {}).get("selection") or {}).get("points") or []
    for point in reversed(points):
        data = point.get("customdata")
        if isinstance(data, list | tuple) and len(data) >= 2:
            return str(data[0]), str(data[1])
    return None
