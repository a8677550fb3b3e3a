"""The order test on paper: what frame-wise networks say when the same frames come in another order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xai.figures.sheet import Area, Drawn, Entry, Table
from xai.figures.style import SMALL

HEIGHT, BELOW = 1.1, 0.16


def order_panel(area: Area, found: Mapping[str, Any]) -> Drawn:
    """One group of bars a network, one bar an order; `found` as `xai.figures.order.order_test` gives it."""
    theme = area.look.theme
    orders, names = list(found["orders"]), list(found["networks"])
    colours = dict(zip(orders, (theme.main, theme.other, theme.limbs[0], theme.soft), strict=True))
    top = area.heading(f"Probability of {found['label']} for the same frames in other orders.")
    top += area.key(top, [Entry(order, colours[order], "patch") for order in orders]) + 0.05
    axes = area.axes(0.36, top, area.width - 0.4, HEIGHT)
    wide = 0.8 / len(orders)
    for index, order in enumerate(orders):
        places = np.arange(len(names)) + (index - (len(orders) - 1) / 2) * wide
        axes.bar(places, found["orders"][order], 0.92 * wide, color=colours[order], lw=0)
    axes.set_ylim(0, 1)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xticks(range(len(names)), names, size=SMALL)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("probability")
    values = np.array([found["orders"][order] for order in orders]).T
    table = Table("orders", {"network": names, "order": orders}, {"probability": values})
    caption = (
        f"Probability of {found['label']} with the frames as filmed, backwards, shuffled (mean of four orders), and "
        "with the middle frame held: a network that reads each frame alone says the same for any order of the frames."
    )
    return Drawn(top + HEIGHT + BELOW, caption, (table,))
