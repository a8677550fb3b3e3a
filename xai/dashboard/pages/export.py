"""Export: the panels that were put aside, composed to a figure, one clip as a report, one panel as a film."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from xai.dashboard.basket import Basket, become, current
from xai.dashboard.export_jobs import is_quick, made, opened, size
from xai.dashboard.export_others import film, report
from xai.dashboard.export_panels import looks, nothing, panels
from xai.dashboard.jobs import shared_jobs
from xai.dashboard.kept import kept
from xai.dashboard.library import open_library
from xai.dashboard.methods_panel import visitor
from xai.dashboard.shown import plain

if TYPE_CHECKING:
    from xai.dashboard.exporting import Opened, Preview

LAST, WRONG, MADE_FROM = "last figure", "what is wrong with the spec", "what the spec was drawn from"
MAKE = ("Figure", "Report", "Animation")


def head(basket: Basket) -> str:
    """How many panels there are, what to make of them, and a spec from before."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        count = len(basket.items)
        st.markdown(f"##### {count} {'panel' if count == 1 else 'panels'} in the figure", width="content")
        make = st.segmented_control(
            "Make", MAKE, default=MAKE[0], required=True, key="make", bind="query-params", label_visibility="collapsed"
        )  # fmt: skip
        with st.popover("Load a spec"):
            st.file_uploader("Spec of a figure", ["yaml", "yml"], key="spec", on_change=_load, max_upload_size=1)
            st.caption("A `spec.yaml` from a bundle, or one that you wrote. It takes the place of the panels here.")
        st.button("Remove all", type="tertiary", disabled=not basket.items, on_click=lambda: become(Basket()))
    if wrong := st.session_state.pop(WRONG, None):
        st.error(plain(wrong))
    return str(make)


def _load() -> None:
    file = st.session_state["spec"]
    if file is None:
        return
    from xai.dashboard.basket_spec import basket_of, drawn_from

    try:
        text = file.getvalue().decode("utf-8")
        basket, spec = basket_of(text, file.name, open_library(), current())
    except UnicodeDecodeError:
        st.session_state[WRONG] = f"{file.name} is no text in UTF-8; give a YAML file."
    except ValueError as error:
        st.session_state[WRONG] = str(error)
    else:
        become(basket)
        st.session_state[MADE_FROM] = drawn_from(spec, basket)


def compose(basket: Basket) -> None:
    """The figure: panels on the left, what comes of them on the right."""
    left, right = st.columns([5, 7], gap="large")
    last: Preview | None = None
    with right:
        place = st.container()
    with left:
        last = _last()
        letters = _said(last)
        own = {
            item.number: letters.get(item.letter or chr(ord("a") + index), "")
            for index, item in enumerate(basket.items)
        }
        looks(basket)
        panels(basket, own)
    with place:
        _draw(basket, last)
    if _said(_last()) != letters:  # drawn at once, after the cards had been: they show what the panels say now
        st.rerun()


def _said(of: Preview | None) -> dict[str, str]:
    """What each panel of a figure says of itself, by its letter."""
    return dict(of.own_captions) if of else {}


def _last() -> Preview | None:
    """What was shown last, as long as the server keeps it."""
    if LAST not in st.session_state:
        return None
    found: Preview | None = kept().peek(st.session_state[LAST])
    return found


def _draw(basket: Basket, last: Preview | None) -> None:
    from xai.dashboard.basket_spec import request_of

    try:
        found = opened(request_of(basket))
    except ValueError as error:
        st.error(plain(re.sub(r"^figure, line \d+: ", "", str(error))))
        return
    from xai.dashboard.exporting import preview

    key = ("figure", found.digest)
    plan: dict[str, Any] = {"start": True, "quick": is_quick(basket.items)}
    kind = f"figure {sum(item.kind == 'trust' for item in basket.items)}"
    shown: Preview | None = made(
        key, found.kept, lambda progress: preview(found, progress), "figure", kind=kind, **plan
    )  # fmt: skip
    if shown is None:
        shared_jobs().leave(visitor("files"))  # those of the figure before the last change
        if last is None:
            st.caption("The figure is drawn here, with its files under it.")
        else:
            st.caption("The figure as it was before the last change:")
            st.image(last.png, alt="The figure as it was", width="stretch")
        return
    st.session_state[LAST] = key
    _differences(found)
    if shown.text < basket.text - 0.05:
        st.warning(
            f"The panels are too high for a slide, so their text is {shown.text:.3g} points and not {basket.text:g}; "
            "put them side by side, or take some away."
        )
    _shown(shown)
    _files(found, shown, plan)


def _differences(found: Opened) -> None:
    """A spec from before may name what holds something else today."""
    for what, choice, known in st.session_state.get(MADE_FROM, ()):
        now = {
            **{text: network.checkpoint for text, network in found.networks.items()},
            **{text: clip.fingerprint for text, clip in found.clips.items()},
        }
        of = {**found.request.checkpoints, **found.request.clips}
        for text, other in of.items():
            if other == choice and now[text] != known:
                st.warning(
                    f"{plain(what)} holds {now[text]} today, and this spec was drawn from {plain(known)}: the numbers "
                    "of the figure are others."
                )


def _shown(found: Preview) -> None:
    """The figure, and what is said of it."""
    width, height = found.inches
    st.image(found.png, alt="The figure as it will be saved; its caption says what it shows.", width="stretch")
    for note in found.notes:
        st.markdown(f":orange[**{plain(note)}**]")
    st.caption(
        f"{width:.4g} x {height:.2f} in, text of {found.text:.3g} points, drawn in {found.seconds:.1f} s. Every file "
        f"says: {' '.join(plain(card) for card in found.cards)}"
    )


def _files(found: Opened, shown: Preview, plan: Mapping[str, Any]) -> None:
    """What can be taken away, made while the figure is looked at."""
    from xai.dashboard.exporting import Files, files

    rest: Files | None = made(
        ("files", found.digest), found.kept, lambda progress: files(found, shown.png, progress), "files",
        kind="files", **plan,
    )  # fmt: skip
    offered: list[tuple[str, bytes, str, str]] = [("PNG", shown.png, "figure.png", "image/png")]
    if rest is not None:
        offered = [
            ("PDF", rest.pdf, "figure.pdf", "application/pdf"), ("SVG", rest.svg, "figure.svg", "image/svg+xml"),
            *offered, ("Bundle", rest.bundle, "kinescope-figure.zip", "application/zip"),
            ("Spec", rest.spec.encode(), "spec.yaml", "application/yaml"),
        ]  # fmt: skip
    with st.container(horizontal=True, gap="small"):
        for name, data, file, mime in offered:
            st.download_button(
                f"{name}, {size(len(data))}", data, file, mime, key=f"download {name}", on_click="ignore",
                type="primary" if name == "PDF" else "secondary",
            )  # fmt: skip
    if rest is None:
        return
    st.caption(
        "The bundle holds the figure in all three forms, every number in it (.npz and .csv), the spec, the caption, "
        "and a manifest with checkpoints, model cards, hashes, versions and the command that draws it again: unpack it "
        "in the folder of Kinescope and run that command there."
    )
    with st.expander("Into a LaTeX paper"):
        st.code(rest.tex, language=None, wrap_lines=True)


def page() -> None:
    basket = current()
    make = head(basket)
    if not basket.items:
        nothing()
    elif make == "Report":
        report(basket)
    elif make == "Animation":
        film(basket)
    else:
        compose(basket)


page()
