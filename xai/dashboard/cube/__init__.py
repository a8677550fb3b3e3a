"""The cube: the clip as a block of space and time, in a fragment of its own so that a view survives other changes.

Linked, it is drawn in the browser from what the player beside it reads. It is handed no data: it follows the player of
the same page (block, head, query, frame, and whatever is hovered), and what is hovered in it lights up in the player.
Nothing of this calls the server. Plotted, it is a Plotly figure with zoom and the numbers of each point.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from xai.dashboard.choose import within
from xai.dashboard.cube.plotted import show_plotted

FOLDER = Path(__file__).parent
VIEWS = ("with the player", "Plotly")


@cache
def _component() -> Any:
    css, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("cube.css", "cube.js"))
    html = (
        '<div class="cube" tabindex="0" role="group" '
        'aria-label="The points in space and time. Arrow keys turn the block, Home turns it back."></div>'
    )
    return st.components.v2.component("kinescope_cube", html=html, css=css, js=script)


@st.fragment
def show_cube(payload: dict[str, Any]) -> None:
    """The points of `payload` in space and time: linked to the player, or plotted with their numbers."""
    heading, choice = st.columns([3, 2], vertical_alignment="bottom")
    heading.subheader("The points in space and time", anchor=False)
    if payload["points"] is None:
        st.info("This variant searches no tokens, so there are no sampling points to draw.")
        return
    within("cube_view", [None, *VIEWS])
    view = choice.segmented_control(
        "View of the cube", VIEWS, default=VIEWS[0], key="cube_view", bind="query-params", label_visibility="collapsed"
    )
    if view == VIEWS[1]:
        show_plotted(payload)
        return
    _component()(key="linked_cube", data={})
    st.caption(
        "It follows the player: its block, head, query, frame and how many points are drawn. One dot a sampled place, "
        "a hair from its reference on the regular lattice; area is attention mass (raw), colour the frames between the "
        "two, as in the key of the player. Lines are the skeleton through time. Drag to turn, hover to see a point in "
        "its frame."
    )
