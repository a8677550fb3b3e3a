"""A map on a page: what was found, how far to trust it, the film under it, its chart, one frame large.

Several maps of one clip stand side by side; those of the same unit share one raw scale, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from xai.dashboard import film as film_of
from xai.dashboard import maps
from xai.dashboard.basket import add_map
from xai.dashboard.film import Film
from xai.dashboard.kept import kept
from xai.dashboard.maps import Map, Scale
from xai.dashboard.shown import plain
from xai.dashboard.trust_badge import show_trust
from xai.figures.sentence import WHOLE_POSE

if TYPE_CHECKING:
    from training.clip import Clip
    from training.recognizer import Recognizer
    from xai.dashboard.methods_panel import Ask
    from xai.explanation import Explanation

UNTRAINED = "These weights were never trained: whatever a map shows of them explains nothing."


@dataclass(frozen=True)
class Look:
    """How maps are shown."""

    per_clip: bool = False
    cause: bool = False
    """Outline what is known to decide the label."""


def show_scale(clip: Clip, panel: str) -> Look:
    """The choices that change the picture and not the numbers."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        scale = st.segmented_control(
            "Scale", ["raw scale", "per clip"], default="raw scale", required=True, key=f"scale{panel}",
            bind="query-params", label_visibility="collapsed",
            help="Raw: the colours end at a number in the unit of the method. Per clip: values are divided by the "
            "largest one of the clip, so that a weak map looks as strong as any other.",
        )  # fmt: skip
        cause = clip.cause is not None and st.toggle(
            "Show what decides", key=f"decides{panel}", bind="query-params",
            help="On a gym clip it is known by construction which pixels decide the label; they are outlined.",
        )  # fmt: skip
    return Look(scale == "per clip", bool(cause))


def show_map(pairs: Sequence[tuple[Ask, Explanation]], network: Recognizer, clip: Clip, look: Look) -> None:
    """One map over the whole width, or several side by side."""
    from xai.methods import methods

    signed = {method.name: method.signed for method in methods()}
    shown = [Map.of(explanation, signed[ask.method]) for ask, explanation in pairs]
    seen = network.view(clip).shown(clip)
    film = Film.of_clip(seen)
    if not network.card.trained_on:
        st.markdown(f":orange[**{UNTRAINED}**]")
    elif getattr(network.network.config, "pose_track", False) and any(of_joint_tokens(ask) for ask, _ in pairs):
        st.caption(WHOLE_POSE)
    columns = st.columns(len(pairs), gap="large") if len(pairs) > 1 else [st.container()]
    for number, (column, (ask, explanation), each) in enumerate(zip(columns, pairs, shown, strict=True)):
        alike = [other for other in shown if other.explanation.unit == each.explanation.unit]
        with column:
            _one(ask, explanation, each, film, network, clip, Scale.of(alike, look.per_clip), look, number, len(pairs))


def of_joint_tokens(ask: Ask) -> bool:
    """Whether the map is over the joints' tokens, and not over the joints that are given."""
    attention = ("joint attention", "attention rollout", "gradient x attention")
    return ask.on == "pose" or (ask.on == "joints" and ask.method in attention)


def _one(
    ask: Ask, explanation: Explanation, shown: Map, film: Film, network: Recognizer, clip: Clip, scale: Scale,
    look: Look, number: int, count: int,
) -> None:  # fmt: skip
    about = explanation.made_by.parameters
    rather = f" rather than {about['against']}" if "against" in about else ""
    st.markdown(f"{ask.method}, why **{plain(about['target'])}**{plain(rather)}? {maps.finding(shown, film)}")
    found = show_trust(ask, explanation, network, clip, film, f"{number or ''}")
    add_map(ask, network, clip, found is not None and "faithfulness" in found, f"{number or ''}")
    here = film.telling if shown.still else shown.strongest[0]
    drawn = network.checkpoint, clip.identity, ask, scale, look.cause
    strip = kept().get(
        ("strip", *drawn),
        lambda: film_of.strip_html(
            maps.pictures(shown, film, scale, look.cause), film, f"{ask.method} on the film", here
        ),
    )
    st.html(strip)
    st.html(maps.key_html(shown, scale))
    chart, single = st.columns([5, 3], gap="medium") if count == 1 else (st.container(), st.container(width=380))
    with chart:
        st.plotly_chart(
            maps.chart(shown, film, scale), key=f"chart {ask} {number}", config={"displayModeBar": False}
        )  # fmt: skip
    with single:
        large = kept().get(("large", *drawn), lambda: maps.large_picture(shown, film, here, scale, look.cause))
        why = "the map is the same in all" if shown.still else "where the map is strongest"
        words = f"Frame {film.number(here)}, {why}"
        st.image(large, words, "stretch", alt=f"{words}; the sentence above says where.")
