"""Temporal: one clip through frame-wise networks that look at their neighbours in different ways, on one clock."""

from __future__ import annotations

import streamlit as st

from xai.dashboard.basket import add_lanes
from xai.dashboard.believed import badges
from xai.dashboard.choose import ClipChoice, choose_clip, within
from xai.dashboard.fitting import say_misfit_of
from xai.dashboard.frame_wise import commands, variants_html
from xai.dashboard.lanes import lane_payloads
from xai.dashboard.library import BundledCheckpoint, compared, open_library, trained_here
from xai.dashboard.neighbours import neighbours
from xai.dashboard.player import player
from xai.dashboard.shown import plain
from xai.explanation import FRAMEWISE

ORDERED = "sit down"
"""The clip that is shown first: only the order of its frames tells it from its twin."""


@st.fragment
def heads(checkpoints: list[BundledCheckpoint], clip: ClipChoice) -> None:
    """What the heads of one network read around each patch."""
    st.subheader("What each head reads", anchor=False)
    names = {checkpoint.name: checkpoint for checkpoint in checkpoints}
    within("neighbours_of", [None, *names])
    name = st.segmented_control(
        "Network", list(names), default=list(names)[-1], key="neighbours_of", bind="query-params"
    )
    from xai.dashboard import live, live_temporal

    try:
        with st.spinner("Listening to the network", show_time=True):
            payload = live_temporal.neighbours(live.recognizer(names[name or list(names)[-1]].path), clip.open())
    except ValueError as error:
        st.error(plain(error))
        return
    neighbours(payload, key="neighbours")
    middle = payload["clip"]["frames"] // 2
    reach = [sum(table[middle]) for table in payload["cone"]]
    said = ["Beside each block: the frames of the clip that can change the class token of the frame that is shown."]
    if payload["queries"] == "all":
        said.insert(0, "Hover over a patch of the middle frame, or read what the class token reads; click to pin.")
    counts = ", ".join(f"{count} after block {block}" for block, count in enumerate(reach) if block)
    alone = "" if reach[-1] > 1 else ": this network never looks beside itself, it only averages its answers"
    said.append(f"Of frame {middle + 1}, {counts}{alone}.")
    if payload["mixing"] == "tokenshift":
        said.append(
            "TokenShift moves channels of the class token before the attention: every head reads its own frame."
        )
    st.caption(" ".join(said))


@st.fragment
def order_test(checkpoints: list[BundledCheckpoint], clip: ClipChoice) -> None:
    """The probability of the class when the same frames come in another order: what temporal mixing is for."""
    st.subheader("Does the order matter?", anchor=False)
    from xai.dashboard import live, live_temporal
    from xai.figures.order import order_figure

    try:
        with st.spinner("Changing the order of the frames", show_time=True):
            table = live_temporal.order_test([live.recognizer(each.path) for each in checkpoints], clip.open())
    except ValueError as error:
        st.error(plain(error))
        return
    table = {**table, "networks": [each.name for each in checkpoints]}
    st.plotly_chart(order_figure(table), key="orders", config={"displaylogo": False})
    st.caption(
        f"Probability of {table['label']!r} with the frames as filmed, backwards, shuffled, and with the middle frame "
        "held. A network that reads each frame alone averages the same answers, whatever their order."
    )


def how_they_mix() -> None:
    """The variants, drawn, and the commands that train them."""
    st.html(variants_html())
    st.markdown(
        "Each line trains one on the drawn clips of the gym, in about three quarters of an hour on one core; this page "
        "finds it in `runs` as soon as its first weights are written, after some minutes."
    )
    st.code(commands(), language=None)


def nothing_yet() -> None:
    """What this page is about, and how to have something on it."""
    st.markdown("#### Does a network look at its neighbours in time?")
    st.markdown(
        "These networks read a film frame by frame and differ in one thing: what the class token of a frame may take "
        "from the frame before and the frame after. Only one that looks beside itself can tell *sit down* from "
        "*stand up*. None is on this server yet."
    )
    how_they_mix()


def page() -> None:
    library = open_library()
    checkpoints = [each for each in library.checkpoints if each.token_mode == FRAMEWISE]
    bundled = {checkpoint.name for checkpoint in checkpoints}
    checkpoints += [each for each in trained_here(FRAMEWISE) if each.name not in bundled]
    if not checkpoints:
        nothing_yet()
        return
    checkpoints += compared()
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        clip = choose_clip(library, ORDERED)
    names = [checkpoint.name for checkpoint in checkpoints]
    with right:
        chosen = st.multiselect(
            "Networks",
            names,
            default=names[:3],
            max_selections=3,
            key="framewise",
            bind="query-params",
            help="Those called gym-... learnt for ten epochs from the one ViT that all began as, the other variants of "
            "MSCA for two, which is too little to tell them apart. What is trained in `runs` can be chosen too.",
        )
    st.caption(
        "A frame-wise ViT reads every frame alone and averages the answers. TokenShift moves channels of the class "
        "token between neighbouring frames; MSCA (multi-head self/cross-attention) lets some heads read the previous "
        "or the next frame. All have the same parameters and the same cost, and none of them sees the joints."
    )
    with st.expander("How they mix, and how to train one"):
        how_they_mix()
    shown = [checkpoint for checkpoint in checkpoints if checkpoint.name in chosen]
    if not shown:
        st.info("Choose a network to see what it does.")
        return
    if clip == ClipChoice():
        st.info("Upload a video to see what the variants do with it.")
        return
    payloads = lane_payloads(library, shown, clip)
    if payloads is None:
        return
    from xai.dashboard.changed import as_lane

    # Runs of one recipe have one name on their cards; here each goes by the name under which it is chosen.
    lanes = [as_lane(payload, each.name) for payload, each in zip(payloads, shown, strict=True)]
    say_misfit_of(clip, shown, better=False)  # what ships is of another kind of network
    player(lanes, key="temporal_lanes", trust=badges(payloads, clip))
    add_lanes(clip, shown, "temporal_lanes", order=True)
    left, right = st.columns([3, 2], gap="large")
    with left:
        heads(shown, clip)
    with right:
        order_test(shown, clip)


page()
