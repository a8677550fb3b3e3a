"""Tokens: one clip through the variants none, single and cross (Table 5), in three lanes on one clock.

Under the lanes: who reads whom in each block, how often the variants say the same, and the ablations of the paper.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from xai.dashboard.basket import add_flow, add_lanes
from xai.dashboard.believed import badges
from xai.dashboard.choose import ClipChoice, choose_clip, chosen_among
from xai.dashboard.fitting import DRAWN, say_misfit_of
from xai.dashboard.kept import kept
from xai.dashboard.lanes import lane_payloads, trained_words, warned_once
from xai.dashboard.library import BundledCheckpoint, Library, open_library
from xai.dashboard.player import player
from xai.dashboard.shown import plain, untrained
from xai.dashboard.token_ablations import ablations_panel
from xai.dashboard.token_agreement import agreement_panel
from xai.dashboard.token_flow import Flow, flow_figure, table

ORDER = ("none", "single", "cross")


@st.fragment
def who_reads_whom(lanes: list[BundledCheckpoint], payloads: list[dict[str, Any]], clip: ClipChoice) -> None:
    """What each kind of token reads, variant beside variant, in one block."""
    st.subheader("Who reads whom", anchor=False)
    found = [(lane, Flow.of(payload), payload) for lane, payload in zip(lanes, payloads, strict=True)]
    content = {lane.key: payload["id"] for lane, _, payload in found}
    flows = [(lane, flow, untrained(payload)) for lane, flow, payload in found if flow is not None]
    if not flows:
        st.info("The stored traces say nothing of this; write them again with `python -m xai bundle`.")
        return
    blocks = list(range(1, max(flow.layers for _, flow, _ in flows) + 1))
    block = st.segmented_control("Block", blocks, default=1, required=True, key="block", bind="query-params")
    layer = int(block) - 1
    for column, (lane, flow, never) in zip(st.columns(len(flows), gap="medium"), flows, strict=True):
        with column:
            st.markdown(f"**{lane.token_mode}**" + " :orange[(never trained: this explains nothing)]" * never)
            if layer >= flow.layers:
                st.caption(f"This network has {flow.layers} blocks.")
                continue
            key = "flow", content[lane.key], layer, st.context.theme.type
            drawn = kept().get(key, partial(flow_figure, flow, layer))
            st.plotly_chart(
                drawn, key=f"flow {lane.token_mode}", config={"displayModeBar": False},
                alt=f"What each kind of token reads in block {block} of {lane.name}; the table below has the numbers.",
            )  # fmt: skip
            add_flow(clip, lane, layer + 1)
    st.caption(
        "Left: who reads, in the colour of the bands; right: what is read. A band is as wide as the attention mass "
        "(raw, mean over heads and tokens) that one token of the left kind gives to all of the right kind, so the "
        "bands of each reader sum to 1. There are many patches and points and few modal tokens: the numbers, and what "
        "you hover, say what uniform attention would give."
        + " After the last block the head reads the modal tokens alone, so only they read across frames there."
        * (layer + 1 == len(blocks) > 1)
    )
    with st.expander("The numbers"):
        rows = [
            {"variant": lane.token_mode, **row}
            for lane, flow, _ in flows
            if layer < flow.layers
            for row in table(flow, layer)
        ]
        st.dataframe(
            rows, hide_index=True,
            column_config={
                name: st.column_config.NumberColumn(format="%.3f") for name in ("attention mass", "uniform")
            } | {"times uniform": st.column_config.NumberColumn(format="%.2f")},
        )  # fmt: skip


def choose_family(place: Any, library: Library, clip: ClipChoice) -> str:
    """What the networks were trained on: drawn clips or real videos, as the clip is, until the visitor says otherwise;
    and what was said of drawn clips does not hold for real ones."""
    drawn = clip.bundled is not None or (clip.data is not None and clip.data[0].lower().startswith(DRAWN))
    families = {checkpoint.key.split("-")[0] for checkpoint in library.checkpoints}
    fitting_first = sorted(families, key=lambda name: ((name == DRAWN) != drawn, name))
    if st.session_state.get("family of drawn clips", drawn) != drawn:
        st.session_state.pop("family", None)
    st.session_state["family of drawn clips"] = drawn
    chosen_among("family", fitting_first)
    return str(place.selectbox("Trained on", fitting_first, key="family", bind="query-params"))


def page() -> None:
    library = open_library()
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        clip = choose_clip(library)
    family = choose_family(right, library, clip)
    lanes = [c for mode in ORDER for c in library.checkpoints if c.token_mode == mode and c.key.split("-")[0] == family]
    said, recipes = trained_words(lanes)
    st.caption(
        "The paper compares three ways to let RGB and pose meet: no modal tokens, one shared token, or a CLS, an RGB "
        f"and a pose token. {said}",
        help=recipes or None,
    )
    if not lanes:
        st.info("No checkpoints are bundled. Train some (`python -m training train`) and run `python -m xai bundle`.")
        return
    if clip == ClipChoice():
        st.info("Upload a video, and its joints if you have them, to see what the variants do with it.")
    elif (payloads := lane_payloads(library, lanes, clip)) is not None:
        say_misfit_of(clip, lanes)
        warning, shown = warned_once(payloads)
        if warning:
            st.caption(f":material/info: Of each of these networks: {plain(warning)}")
        player(shown, key="lanes", trust=badges(payloads, clip))
        add_lanes(clip, lanes, "lanes")
        who_reads_whom(lanes, payloads, clip)
    agreement_panel(lanes)
    ablations_panel()


page()
