"""The cube of sampling points on a page, in a fragment of its own so that the camera survives other changes."""

from __future__ import annotations

from typing import Any

import streamlit as st

from xai.dashboard.choose import within
from xai.dashboard.kept import kept


@st.fragment
def show_cube(payload: dict[str, Any]) -> None:
    """The points of one layer in space and time; the controls redraw the cube and nothing else."""
    from xai.figures.cube import cube_arrays, cube_figure

    st.subheader("The points in space and time", anchor=False)
    arrays = cube_arrays(payload)
    if arrays is None:
        st.info("This variant searches no tokens, so there are no sampling points to draw.")
        return
    left, right = st.columns(2)
    layers, queries = list(range(1, arrays.layers + 1)), list(arrays.queries)
    within("cube_layer", [None, *layers])
    within("cube_query", [None, *queries])
    layer = left.segmented_control("Layer", layers, default=layers[-1], key="cube_layer", bind="query-params")
    query = right.segmented_control("Query", queries, default=queries[0], key="cube_query", bind="query-params")
    place = (layer or arrays.layers) - 1, arrays.queries.index(query or arrays.queries[0])
    figure = kept().get(("cube", payload["id"], *place), lambda: cube_figure(**arrays.of(*place)))
    st.plotly_chart(figure, key="cube", config={"displaylogo": False})
    st.caption(
        "One dot a sampled place, a hair from its reference on the regular lattice; area is attention mass (mean of "
        "heads, raw), colour the frames between the two. The grey lines are the skeleton through time."
    )
