"""The cube as a Plotly figure: zoom, and the numbers of every point under the pointer."""

from __future__ import annotations

from typing import Any

import streamlit as st

from xai.dashboard.choose import within
from xai.dashboard.kept import kept


def show_plotted(payload: dict[str, Any]) -> None:
    """The points of one block and query; the choices bind to the address."""
    from xai.figures.cube import cube_arrays, cube_figure

    arrays = cube_arrays(payload)
    if arrays is None:
        raise ValueError("A payload without points has no cube.")
    left, right = st.columns(2)
    layers, queries = list(range(1, arrays.layers + 1)), list(arrays.queries)
    within("cube_layer", [None, *layers])
    within("cube_query", [None, *queries])
    layer = left.segmented_control("Block", layers, default=layers[-1], key="cube_layer", bind="query-params")
    query = right.segmented_control("Query", queries, default=queries[0], key="cube_query", bind="query-params")
    place = (layer or arrays.layers) - 1, arrays.queries.index(query or arrays.queries[0])
    figure = kept().get(("cube", payload["id"], *place), lambda: cube_figure(**arrays.of(*place)))
    st.plotly_chart(figure, key="plotted_cube", config={"displaylogo": False})
    st.caption(
        "One dot a sampled place, a hair from its reference on the regular lattice; area is attention mass (mean of "
        "heads, raw), colour the frames between the two. The grey lines are the skeleton through time. Hover for the "
        "numbers of a point, scroll to zoom."
    )
