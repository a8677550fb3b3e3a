"""The order test as bars: probability of a class for the same frames in other orders, network by network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from training.clip import Clip
from training.recognizer import Recognizer
from xai import edits
from xai.removal import TimeOrder, predict_with
from xai.rerun import Rerun

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS = {"as filmed": "#0072b2", "backwards": "#e69f00", "shuffled": "#009e73", "one frame held": "#8a8a8a"}
SHUFFLES = 4


def order_test(recognizers: list[Recognizer], clip: Clip) -> dict[str, Any]:
    """`label`: the clip's own, or what the last network says. `networks`, and for each order their probabilities.

    Shuffled is the mean of four orders; held shows the middle frame that the network reads all the time.

    Raises: ValueError in one sentence for networks that have no such label in common.
    """
    last = recognizers[-1](clip)
    known = set.intersection(*(set(each.card.labels) for each in recognizers))
    label = clip.label if clip.label in known else last.top(1)[0][0]
    if label not in known:
        raise ValueError(
            f"Not all of these networks know {label!r}: choose networks that were trained on the same labels."
        )
    found: dict[str, list[float]] = {name: [] for name in COLOURS}
    for recognizer in recognizers:
        rerun = Rerun.of(recognizer, clip)
        index = recognizer.card.labels.index(label)

        def asked(removals: list[Any], rerun: Rerun = rerun, index: int = index) -> float:
            return float(predict_with(rerun, None, removals).probabilities[index])

        found["as filmed"].append(asked([]))
        found["backwards"].append(asked([TimeOrder("reverse")]))
        found["shuffled"].append(float(np.mean([asked([TimeOrder("shuffle", seed)]) for seed in range(SHUFFLES)])))
        gone = np.ones(len(rerun.seen), bool)
        gone[len(gone) // 2] = False
        still = rerun.predict(edits.take_frames(rerun.seen, gone, "hold"), rerun.index)
        found["one frame held"].append(float(still.probabilities[index]))
    return {"label": label, "networks": [each.card.name for each in recognizers], "orders": found}


def order_figure(table: Mapping[str, Any]) -> go.Figure:
    """Grouped bars, one group a network."""
    import plotly.graph_objects as go  # a figure for print is drawn without it

    figure = go.Figure(
        [
            go.Bar(name=name, x=table["networks"], y=values, marker_color=COLOURS[name])
            for name, values in table["orders"].items()
        ]
    )
    figure.update_layout(
        barmode="group", height=320, margin={"l": 10, "r": 10, "t": 10, "b": 10},
        yaxis={"title": f"probability of {table['label']}", "range": [0, 1], "tickformat": ".0%"},
        legend={"orientation": "h", "y": 1.12},
    )  # fmt: skip
    return figure
