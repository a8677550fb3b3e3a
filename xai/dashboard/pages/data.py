"""Data: a network on every clip of a data set. How often it is right, who is taken for whom, and each clip to open."""

from __future__ import annotations

import streamlit as st

from xai.dashboard.choose import choose_checkpoint
from xai.dashboard.data_choice import choose_split
from xai.dashboard.data_panels import accuracy, changed_clips, clips, explore_tile, filters, matrix
from xai.dashboard.data_progress import Network, predictions
from xai.dashboard.data_scores import Verdicts
from xai.dashboard.library import BundledCheckpoint, open_library


def page() -> None:
    library = open_library()
    first, second, third = st.columns([2, 1, 2], vertical_alignment="bottom")
    with third:
        chosen = choose_checkpoint(library)
    split = choose_split(first, second)
    if split is None:
        return
    if chosen is None:
        st.info("Upload a checkpoint (.safetensors) to have it predict the clips.")
        return
    network = Network.of(chosen)
    found = predictions(split, [network], "data")[0]
    verdicts = Verdicts.of(split, found)
    damaged = dict(found.damaged) if found else {}
    known = bool((verdicts.predicted >= 0).any())
    numbers, grid = st.columns([5, 6], gap="large") if known else (st.container(), st.container())
    with numbers:
        accuracy(verdicts, damaged)
        if known and isinstance(chosen, BundledCheckpoint) and not chosen.card.get("trained_on"):
            st.caption(":orange[These weights were never trained: what they say means nothing.]")
        matrix(verdicts, network)
    with grid:
        positions = filters(verdicts).positions(verdicts)
        changed_clips(verdicts, network, positions, found)
        clips(split, positions, explore_tile(verdicts, network, damaged), "data")


page()
