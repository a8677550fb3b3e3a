"""The cube: the clip as a block of space and time, drawn in the browser from what the player beside it reads.

It is handed no data: it follows the player of the same page (block, head, query, frame, and whatever is hovered), and
what is hovered in it lights up in the player. Nothing of this calls the server.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

FOLDER = Path(__file__).parent


@cache
def _component() -> Any:
    css, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("cube.css", "cube.js"))
    html = (
        '<div class="cube" tabindex="0" role="group" '
        'aria-label="The points in space and time. Arrow keys turn the block, Home turns it back."></div>'
    )
    return st.components.v2.component("kinescope_cube", html=html, css=css, js=script)


def show_cube(payload: dict[str, Any]) -> None:
    """The points that the player of `payload` shows, in space and time."""
    st.subheader("The points in space and time", anchor=False)
    if payload["points"] is None:
        st.info("This variant searches no tokens, so there are no sampling points to draw.")
        return
    _component()(key="cube", data={})
    st.caption(
        "It follows the player: its block, head, query, frame and how many points are drawn. One dot a sampled place, "
        "a hair from its reference on the regular lattice; area is attention mass (raw), colour the frames between the "
        "two, as in the key of the player. Lines are the skeleton through time. Drag to turn, hover to see a point in "
        "its frame."
    )
