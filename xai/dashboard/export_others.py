"""Beside the figure: one clip as a report that opens without a server, one panel as a film that loops in a talk."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from xai.dashboard.basket import Basket, Item, clip_name, name_of
from xai.dashboard.export_jobs import again, made, opened, size
from xai.dashboard.shown import plain

if TYPE_CHECKING:
    from xai.dashboard.exporting import Animated, Opened

TRUST_WORDS = {
    "faithfulness": "faithfulness (about 300 passes a map)", "sanity": "sanity (the map made three times more)",
    "stability": "stability (three times more)",
}  # fmt: skip
MOST_METHODS = 6
SPEEDS = {"¼": 0.25, "½": 0.5, "1": 1.0, "2": 2.0}
MOVING = ("film", "joints", "cube", "map", "trust")
SHOWN_BYTES = 12_000_000
"""A film that takes more is only offered as a file."""


def single(basket: Basket, item: Item) -> Opened | None:
    """One panel of the basket as a request of its own, opened; None after a sentence."""
    from xai.dashboard.basket_spec import request_of

    try:
        alone = replace(item, beside=False, caption="", letter="")
        return opened(request_of(replace(basket, items=(alone,), width="page", text=7.0, caption="")))
    except ValueError as error:
        st.error(plain(error))
        return None


def report(basket: Basket) -> None:
    """One clip through one checkpoint as an HTML file: the player, and other methods on its clock."""
    st.caption(
        "One file that anybody opens in a browser, without a server and without the network: the player of this clip, "
        "and the maps of other methods on the same clock, each with its base rate and its trust."
    )
    subjects: dict[str, Item] = {}
    for item in (each for each in basket.items if each.clip is not None):
        for checkpoint in item.checkpoints:
            title = f"{clip_name(item.clip)}, {name_of(checkpoint)}"
            subjects.setdefault(title, replace(item, checkpoints=(checkpoint,)))
    if not subjects:
        st.info("No panel here is of one clip; add one from Explore to report on it.")
        return
    subject = str(st.selectbox("Clip and checkpoint", list(subjects), key="report of"))
    from xai.figures.panel_kinds import Film

    found = single(basket, replace(subjects[subject], options=Film()))
    if found is None:
        return
    from xai.dashboard.exporting import report as make_report
    from xai.dashboard.methods_panel import Ask, askable, known_trust, sites
    from xai.figures.report import METHODS

    (text, clip), (file, network) = next(iter(found.clips.items())), next(iter(found.networks.items()))
    there = askable(network, clip)
    names = [method.name for method in there]
    wanted = st.multiselect(
        "Methods", names, default=[name for name in METHODS if name in names], max_selections=MOST_METHODS,
        key="report methods",
    )  # fmt: skip
    parts = st.multiselect(
        "Measure trust", list(TRUST_WORDS), key="report trust", format_func=TRUST_WORDS.__getitem__,
        help="Measured for every method whose trust is not known already, which takes its time. What was not measured "
        "says so in the report.",
    )  # fmt: skip
    asked = [(method.name, on) for method in there for on in sites(method, network, clip)]
    measured = {each: known_trust(Ask(*each), network.checkpoint, clip) for each in asked}
    known = {each: trust for each, trust in measured.items() if trust is not None}
    verdicts = tuple((each, trust["verdict"]) for each, trust in known.items())
    key = ("report", network.checkpoint, clip.identity, text, file, tuple(wanted), tuple(parts), verdicts)
    pressed = st.button("Make the report", type="primary")
    data: bytes | None = made(
        key, found.kept,
        lambda progress: make_report(network, clip, (text, file), wanted, parts, found.kept, progress, known),
        "report", start=pressed, quick=False, kind=f"report of {len(wanted)} methods {len(parts)} trusts",
    )  # fmt: skip
    if pressed and data is None:
        again("report")
    if data is None:
        return
    st.download_button(
        f"HTML, {size(len(data))}", data, "report.html", "text/html", key="download report", on_click="ignore",
        type="primary",
    )  # fmt: skip


def film(basket: Basket) -> None:
    """One panel in time."""
    st.caption(
        "One panel as it moves, for a talk or a web page: the skeleton and the sampling points, or the map of a "
        "method, one frame after the other on the scales of the strip, at the times of the clip."
    )
    items = [item for item in basket.items if item.kind in MOVING]
    if not items:
        st.info("No panel here changes in time; add a film strip or a map to the figure.")
        return
    left, right = st.columns([5, 7], gap="large")
    from xai.dashboard.exporting import SIDES, animate

    with left:
        titles = {item.number: item.title for item in items}
        number = st.selectbox("Panel", list(titles), key="film of", format_func=titles.__getitem__)
        kind = st.segmented_control(
            "Format", ["WebP", "WebM", "GIF"], default="WebP", required=True, key="film format",
            help="WebP: small, and plays in every browser. WebM: a video, for slides. GIF: large, plays everywhere.",
        )  # fmt: skip
        side = st.segmented_control("Width", list(SIDES), default="576 px", required=True, key="film side")
        speed = st.segmented_control("Speed", list(SPEEDS), default="1", required=True, key="film speed")
        theme = st.segmented_control(
            "Colours", ["light", "dark"], default=basket.theme, required=True, key="film theme"
        )
    item = next((each for each in items if each.number == number), items[0])
    found = single(basket, item)
    if found is None:
        return
    key = ("film", found.digest, kind, side, speed, theme)
    with left:
        pressed = st.button("Make the animation", type="primary")
    with right:
        animated: Animated | None = made(
            key, found.kept,
            lambda progress: animate(
                found, str(kind), SIDES[str(side)], SPEEDS[str(speed)], str(theme), progress,  # type: ignore[arg-type]
                basket.scale == "per clip",
            ),
            "film", start=pressed, quick=item.kind != "trust", kind=f"film {side} {kind}",
        )  # fmt: skip
        if pressed and animated is None:
            again("film")
        if animated is not None:
            _played(animated, str(kind))


def _played(animated: Animated, kind: str) -> None:
    words = f"{animated.frames} frames of {animated.width} x {animated.height} pixels, {animated.seconds:.2g} s"
    mime = "video/webm" if kind == "WebM" else f"image/{kind.lower()}"
    name = f"film.{kind.lower()}"
    st.download_button(
        f"{kind}, {size(len(animated.data))}", animated.data, name, mime, key="download film", on_click="ignore",
        type="primary",
    )  # fmt: skip
    st.caption(f"{words}. The checkpoint stands under the film.")
    if len(animated.data) > SHOWN_BYTES:
        st.caption("Too large to be shown here; the file holds it.")
    elif kind == "WebM":
        st.video(animated.data, format=mime, loop=True, muted=True)
    else:
        _moving(animated, mime, words)


def _moving(animated: Animated, mime: str, words: str) -> None:
    """The bytes of the file (Streamlit would make a still of them); nothing moves for whoever asked for that."""
    data = base64.b64encode(animated.data).decode("ascii")
    name = "film" + hashlib.sha256(animated.data).hexdigest()[:8]
    style = (
        f".{name} {{ max-width: 100%; width: {animated.width}px; }} .{name}-still {{ display: none; }} "
        f"@media (prefers-reduced-motion: reduce) {{ .{name} {{ display: none; }} "
        f".{name}-still {{ display: block; }} }}"
    )
    st.html(
        f'<style>{style}</style><img class="{name}" src="data:{mime};base64,{data}" alt="The animation: {words}">'
        f'<p class="{name}-still">Your system asks for less motion, so the animation is not played here.</p>'
    )
