"""The choice of a data set, of one of its splits, and of a clip in it, written into the address of the page.

?set=Gym&split=test                         what the page Data shows
?source=Data&set=Gym&split=test&number=17   one clip, on every page; clips count from 1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl, urlencode

import streamlit as st
from streamlit.errors import StreamlitAPIException

from xai.dashboard.choose import OWN, PAGES, ClipChoice, chosen_among, look_for, say_lost
from xai.dashboard.data_sets import offers, splits_of
from xai.dashboard.shown import plain

if TYPE_CHECKING:
    from xai.dashboard.data_sets import Split


SEVERAL = "framewise"
"""The one choice of a link that names several: the networks of Temporal."""


def choose_split(set_place: Any, split_place: Any, keys: tuple[str, str] = ("set", "split")) -> Split | None:
    """The data set and its split, or None after a sentence. `keys` name them in the address."""
    from xai.dashboard import data_live

    try:
        titles = [offer.title for offer in offers()]
    except ValueError as error:
        st.error(plain(error))
        return None
    chosen_among(keys[0], titles)
    look_for(keys[0], titles)
    title = str(
        set_place.selectbox(
            "Data set", titles, key=keys[0], bind="query-params",
            help="Gym clips are drawn as they are asked for. Whoever runs this server can add others.",
        )
    )  # fmt: skip
    say_lost(keys[0], "data set", title)
    try:
        names = splits_of(data_live.dataset(title))
        chosen_among(keys[1], names)
        name = split_place.selectbox("Split", names, key=keys[1], bind="query-params")
        with st.spinner("Opening the data set"):
            return data_live.split(title, str(name))
    except ValueError as error:
        st.error(plain(error))
        return None


def choose_member(place: Any) -> ClipChoice:
    """One clip of a data set."""
    first, second, third = place.columns([2, 1, 1], vertical_alignment="bottom")
    split = choose_split(first, second)
    if split is None:
        return ClipChoice()
    if "number" in st.session_state:
        st.session_state["number"] = min(max(1, int(st.session_state["number"] or 1)), len(split))
    number = third.number_input(
        f"Clip of {len(split):,}", 1, len(split), step=1, key="number", bind="query-params",
        help="Clips count from 1. The page Data shows them all.",
    )  # fmt: skip
    return ClipChoice(data=(split.offer.title, split.name, int(number) - 1))


def member_query(split: Split, position: int, checkpoint: str | None = None) -> dict[str, str]:
    """The parameters of a link to a clip."""
    query = {"source": "Data", "set": split.offer.title, "split": split.name, "number": str(position + 1)}
    return query | ({} if checkpoint in (None, OWN) else {"checkpoint": str(checkpoint)})


def member_link(page: str, query: Mapping[str, str | Sequence[str]]) -> str:
    """A link relative to any page; `page` is its path, empty for the first one."""
    return f"./{page}?{urlencode(query, doseq=True)}"


def choose_link(link: str) -> None:
    """Make the choices of a link of `member_link` those of this session. For a callback: before the page is drawn.

    A page may not write choices of its own into the address, so they are made here, and the address follows them.
    """
    several: list[str] = []
    for name, value in parse_qsl(link.partition("?")[2]):
        if name == SEVERAL:
            several.append(value)
        else:
            st.session_state[name] = int(value) if name == "number" else value
    if several:
        st.session_state[SEVERAL] = several


def open_link(link: str, here: str) -> NoReturn:
    """Go to the page of a link whose choices were made; `here` is the page on which it was clicked."""
    page, _, query = link.removeprefix("./").partition("?")
    if page == here:
        for name, value in parse_qsl(query):
            with suppress(StreamlitAPIException):  # a choice that is on this page already writes itself
                st.query_params[name] = value
        st.rerun()
    st.session_state["settled"] = None
    # Without any parameters it would refuse while choices of this page are in the address.
    st.switch_page(f"{PAGES}/{page or 'explore'}.py", query_params={})
