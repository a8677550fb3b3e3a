"""The panels of the figure on the page Export: order, rows, letters and captions, and how the figure shall look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from xai.dashboard.basket import BESIDE, SEEN, Basket, Item, become, current, first_figure
from xai.dashboard.shown import plain

WIDTHS = {
    "column": "column, 3.25 in", "wide column": "wide column, 3.5 in", "page": "page, 6.75 in",
    "slide": "slide, 16:9",
}  # fmt: skip
DPI = (150, 300, 600)
LONGEST = 2000
"""Characters of a caption."""
LINE, FRAME, A_LINE = 20, 24, 50
"""Pixels of a line in a field for text, and of what is around the lines; characters that a line holds at least, on
anything wider than a telephone."""


def state(key: str, value: Any) -> str:
    """The key of a widget that shows `value` of the basket: widgets are forgotten when somebody leaves the page."""
    st.session_state[key] = value
    return key


def change(make: Callable[[Basket], Basket]) -> None:
    become(make(current()))


# ---- Nothing yet ----------------------------------------------------------------------------------------------------


def nothing() -> None:
    """What this page is, with one click to a figure."""
    st.subheader("A figure for your paper, from what you have seen", anchor=False)
    st.markdown(
        "Every view of the other pages has a button **Add to figure**. It puts what you see here: which clip, which "
        "network, which block, head, query or method. On this page you put the panels in order, and leave with a PDF, "
        "SVG or PNG in the width of your column, the numbers behind every mark, and the command that draws it again."
    )
    words = "Start with what you saw on Explore" if SEEN in st.session_state else "Start with the demo clip"
    st.button(words, type="primary", on_click=_demo)


def _demo() -> None:
    become(current().adding(*first_figure()))


# ---- How it looks ---------------------------------------------------------------------------------------------------


def looks(basket: Basket) -> None:
    """Width, text, colours, scale, resolution, columns."""
    first, second = st.columns(2)
    first.selectbox(
        "Width", list(WIDTHS), key=state("figure width", basket.width), format_func=WIDTHS.__getitem__,
        on_change=_looks, args=("width",),
        help="Measured at the size at which it is printed: include it in LaTeX without scaling.",
    )  # fmt: skip
    second.number_input(
        "Text, points", 5.0, 32.0, step=0.5, key=state("figure text", basket.text), format="%g", on_change=_looks,
        args=("text",), help="Of headings; lines and marks grow with it. Slides want 14 and more.",
    )  # fmt: skip
    first.segmented_control(
        "Colours", ["light", "dark"], key=state("figure theme", basket.theme), on_change=_looks, args=("theme",),
        required=True,
    )  # fmt: skip
    second.segmented_control(
        "Scale", ["raw", "per clip"], key=state("figure scale", basket.scale), on_change=_looks, args=("scale",),
        required=True,
        help="Raw: amounts as measured. Per clip: divided by the largest of the clip, so that a weak map looks as "
        "strong as any other; the figure says which.",
    )  # fmt: skip
    first.segmented_control(
        "Panels in a row", [1, 2, 3], key=state("figure columns", min(BESIDE, basket.columns)), on_change=_columns,
        required=True,
    )  # fmt: skip
    second.segmented_control(
        "PNG, dots per inch", list(DPI), key=state("figure dpi", basket.dpi if basket.dpi in DPI else 300),
        on_change=_looks, args=("dpi",), required=True,
    )  # fmt: skip
    st.text_area(
        "Caption of the figure", key=state("figure caption", basket.caption), on_change=_looks, args=("caption",),
        max_chars=LONGEST, height=68, placeholder="Said first, in front of what the panels say of themselves.",
    )  # fmt: skip


def _looks(name: str) -> None:
    value = st.session_state[f"figure {name}"]
    change(lambda basket: _with(basket, name, value))


def _with(basket: Basket, name: str, value: Any) -> Basket:
    from dataclasses import replace

    more: dict[str, Any] = {name: value}
    if name == "width":  # text that is read across a room, and back
        more |= {"text": 14.0} if value == "slide" and basket.text < 10 else {}
        more |= {"text": 7.0} if value != "slide" and basket.text > 12 else {}
    return replace(basket, **more)


def _columns() -> None:
    count = int(st.session_state["figure columns"])
    change(lambda basket: basket.in_columns(count))


# ---- The panels -----------------------------------------------------------------------------------------------------


def panels(basket: Basket, own: dict[int, str]) -> None:
    """One card a panel. `own`: what each says of itself, by its number, as far as it was drawn."""
    letters = iter(_letters(basket))
    for row in basket.rows:
        for item in row:
            _panel(basket, item, next(letters), own.get(item.number, ""))


def _letters(basket: Basket) -> list[str]:
    return [item.letter or chr(ord("a") + index) for index, item in enumerate(basket.items)]


def _panel(basket: Basket, item: Item, letter: str, own: str) -> None:
    place, number = basket.place(item.number), item.number
    with st.container(border=True, gap="small"):
        left, right = st.columns([5, 4], vertical_alignment="center")
        left.markdown(f"**{plain(letter)}** {plain(item.title)}")
        with right.container(horizontal=True, horizontal_alignment="right", gap="small"):
            st.button(
                "Up", key=f"up {number}", type="tertiary", disabled=place == 0,
                help=f"Panel {letter} one place up", on_click=change, args=(lambda b: b.moving(number, -1),),
            )  # fmt: skip
            st.button(
                "Down", key=f"down {number}", type="tertiary",
                disabled=place == len(basket.items) - 1, help=f"Panel {letter} one place down", on_click=change,
                args=(lambda b: b.moving(number, 1),),
            )  # fmt: skip
            st.button(
                "Remove", key=f"remove {number}", type="tertiary", help=f"Remove panel {letter}",
                on_click=change, args=(lambda b: b.removing(number),),
            )  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text_input(
                f"Letter of panel {letter}", key=state(f"letter {number}", item.letter), placeholder=letter, width=60,
                max_chars=3, label_visibility="collapsed", on_change=_edited, args=(number, "letter"),
            )  # fmt: skip
            if place:
                st.checkbox(
                    "Beside", key=state(f"beside {number}", item.beside), on_change=_edited, args=(number, "beside"),
                    help="Stands beside the panel before it, not below.", width="content",
                )  # fmt: skip
        st.text_area(
            f"Caption of panel {letter}", key=state(f"caption {number}", item.caption), max_chars=LONGEST,
            height=_high(item.caption or own), label_visibility="collapsed",
            placeholder=own or "Caption: the panel's own", on_change=_edited, args=(number, "caption"),
        )  # fmt: skip


def _high(text: str) -> int:
    """Pixels of a field that shows all of a caption."""
    return LINE * max(2, -(-len(text) // A_LINE)) + FRAME


def _edited(number: int, name: str) -> None:
    value = st.session_state[f"{name} {number}"]
    words = " ".join(value.split()) if isinstance(value, str) else value  # a caption is one paragraph
    change(lambda basket: basket.changing(number, **{name: words}))
