"""The player's hues, for the pictures and charts that stand beside it."""

from __future__ import annotations

import streamlit as st

from xai.figures import hues

ACCENT = "#2f7de1"
GREY = "rgba(128,128,128,0.9)"
"""Both are seen on paper and on black."""
LIMBS = hues.LIMBS["dark"]
"""On pictures: torso green, arms warm, legs cool."""


def token_colour(token: str) -> str:
    theme = "dark" if st.context.theme.type == "dark" else "light"
    return hues.TOKENS[theme].get(token, GREY)


def rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue
