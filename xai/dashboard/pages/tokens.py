"""Tokens: one clip through the variants none, single and cross (Table 5), in three lanes on one clock."""

from __future__ import annotations

import streamlit as st

from xai.dashboard.choose import ClipChoice, choose_clip
from xai.dashboard.lanes import lane_payloads
from xai.dashboard.library import open_library
from xai.dashboard.player import player

ORDER = ("none", "single", "cross")


def page() -> None:
    library = open_library()
    families = sorted({checkpoint.key.split("-")[0] for checkpoint in library.checkpoints})
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        clip = choose_clip(library)
    family = right.selectbox("Trained on", families, index=families.index("gym") if "gym" in families else 0)
    lanes = [c for mode in ORDER for c in library.checkpoints if c.token_mode == mode and c.key.split("-")[0] == family]
    st.caption(
        "The paper compares three ways to let RGB and pose meet: no modal tokens, one shared token, or a CLS, an RGB "
        "and a pose token. Each lane is a network of its own, trained alike; the clock is the same."
    )
    if not lanes:
        st.info("No checkpoints are bundled. Train some (`python -m training train`) and run `python -m xai bundle`.")
        return
    if clip == ClipChoice():
        st.info("Upload a video, and its joints if you have them, to see what the variants do with it.")
        return
    payloads = lane_payloads(library, lanes, clip)
    if payloads is not None:
        player(payloads, key="lanes")


page()
