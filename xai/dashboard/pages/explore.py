"""Explore: one clip through one checkpoint. The bundled pairs are drawn from their traces, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from xai.dashboard.basket import add_player
from xai.dashboard.believed import badges, believed
from xai.dashboard.choose import PAGES, ClipChoice, choose_checkpoint, choose_clip, open_checkpoint
from xai.dashboard.cube import show_cube
from xai.dashboard.fitting import say_misfit_of
from xai.dashboard.library import open_library
from xai.dashboard.methods_panel import ask_another_way
from xai.dashboard.player import player
from xai.dashboard.shown import payload_of
from xai.dashboard.warm import warm_up
from xai.explanation import FRAMEWISE


def downloads(payload: Mapping[str, Any], clip: ClipChoice, checkpoint: Any) -> None:
    """Figures and numbers of what is shown; computed when asked for."""
    st.subheader("Take it with you", anchor=False)
    st.caption(
        "Figures of the last block, mean of heads, 6.75 in wide, fonts embedded; the numbers hold every layer, head "
        "and query, raw. For the block, head, query or class that the player shows now: *Add to figure* above."
    )

    def figure(name: str, kind: str) -> bytes:
        from xai.dashboard import live

        return live.figure(open_checkpoint(checkpoint), clip.open(), name, kind)

    def numbers() -> bytes:
        from xai.dashboard import live

        return live.numbers(open_checkpoint(checkpoint), clip.open())

    parts = {"points": ("sampling_points", "Sampling points"), "joints": ("joint_curves", "Joint curves")}
    for name, title in [*(parts[part] for part in parts if payload[part] is not None), ("ledger", "Ledger")]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(title, width="stretch")
            for kind in ("png", "pdf"):
                st.download_button(
                    kind.upper(), partial(figure, name, kind), f"{name}.{kind}", key=f"{name}.{kind}", on_click="ignore"
                )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("All numbers", width="stretch")
        st.download_button("NPZ", numbers, "evidence.npz", key="evidence.npz", on_click="ignore")


@st.fragment(run_every=0.4)
def settle() -> None:
    """First the player: what is below it, and what hovering tells, wait until the browser shows that. Choices that
    another page made reach the address when they are drawn a second time, so a page that was opened by a click settles
    again."""
    if st.session_state.get("settled") is None:  # the run in which the page opened
        st.session_state["settled"] = False
    else:
        st.session_state["settled"] = True
        st.rerun()


def page() -> None:
    library = open_library()
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        clip = choose_clip(library)
    with right:
        checkpoint = choose_checkpoint(library)
    payload = payload_of(clip, checkpoint)
    if payload is None:
        return
    say_misfit_of(clip, [checkpoint])
    whole = bool(st.session_state.get("settled") or {"ask", "patch"} & set(st.query_params))
    player([payload], key="player", looks=whole, trust=badges([payload], clip, on_page=True))
    add_player(payload, clip, checkpoint, "player")
    if not whole:
        settle()
        return
    warm_up()
    believed(payload, clip, checkpoint)
    ask_another_way(clip, checkpoint)
    cube, figures = st.columns([3, 2], gap="large")
    with cube:
        if payload["model"]["token_mode"] == FRAMEWISE:
            st.subheader("Frame by frame", anchor=False)
            st.page_link(
                f"{PAGES}/temporal.py", label="What heads read in the frames before and after: Temporal",
                query_params={"clip": clip.bundled.name} if clip.bundled else None,
            )  # fmt: skip
        else:
            show_cube(payload)
    with figures:
        downloads(payload, clip, checkpoint)


page()
