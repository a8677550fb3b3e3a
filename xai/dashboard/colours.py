"""The player's hues (player/player.css), for the pictures and charts that stand beside it."""

from __future__ import annotations

import streamlit as st

ACCENT = "#2f7de1"
GREY = "rgba(128,128,128,0.9)"
"""Both are seen on paper and on black."""
LIMBS = ("#2cc29a", "#f0743e", "#f2b632", "#4f8fe0", "#7cc8f2")
"""On pictures: torso green, arms warm, legs cool."""
_TOKENS = {
    "light": {"cls": "#6d4fc4", "rgb": "#b8477a", "pose": "#11877c", "patch": "#c6cad2", "joint": "#454b56"},
    "dark": {"cls": "#a48bf2", "rgb": "#e57fae", "pose": "#3fbfb0", "patch": "#4d535f", "joint": "#d3d7de"},
}
_SAME = {"shared": "cls", "patches": "patch", "joints": "joint"}


def token_colour(token: str) -> str:
    theme = "dark" if st.context.theme.type == "dark" else "light"
    return _TOKENS[theme].get(_SAME.get(token, token), GREY)


def rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue
