"""Does a network fit what it is shown? Asked about clips of another kind, it names one of its classes all the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from xai.dashboard.choose import ClipChoice, card_of
from xai.dashboard.library import open_library
from xai.dashboard.shown import plain

Card = Mapping[str, Any]
KINDS = {"gym": "drawn clips", "jhmdb": "real videos"}
"""What data sets hold that a visitor need not know by their names."""
DRAWN = "gym"


def misfit(cards: Sequence[Card], source: str, shipped: Sequence[Card] = ()) -> str:
    """A sentence or two for networks that were trained on clips of another source than these; "" when all fit.

    Args:
        source: of the clip, or the name of its data set; "file" is a video of somebody's own, which nobody trained on.
        shipped: cards among which to look for one that fits better.
    """
    source = re.split(r" split |,", source)[0]
    several: dict[tuple[str, int], list[str]] = {}
    for card in cards:
        trained = str(card["trained_on"])
        if trained and not _of(trained, source):  # of one that was never trained the pages say so themselves
            several.setdefault((trained, len(card["labels"])), []).append(f"**{plain(card['name'])}**")
    said = [
        f"{' and '.join(names)} {'was' if len(names) == 1 else 'were'} trained on {_words(trained)} and "
        f"{'knows' if len(names) == 1 else 'know'} {classes} classes only, so whatever is shown here is called one of "
        "them."
        for (trained, classes), names in several.items()
    ]
    if several and (better := _better([trained for trained, _ in several], source, shipped)) is not None:
        about = f"{_words(better['trained_on'])}, {len(better['labels'])} classes"
        said.append(f"**{plain(better['name'])}** fits better: {about}.")
    return " ".join(said)


def _of(trained_on: str, source: str) -> bool:
    """Do these words begin with the name of the source? 'gym, 4800 clips' does with 'gym', 'gym_hrnet' does not."""
    return re.match(rf"{re.escape(source)}(?=[ ,]|$)", trained_on, re.IGNORECASE) is not None


def _words(trained_on: str) -> str:
    kind = next((words for name, words in KINDS.items() if _of(trained_on, name)), "")
    return f"{kind} ({plain(trained_on)})" if kind else plain(trained_on)


def _better(trained: Sequence[str], source: str, shipped: Sequence[Card]) -> Card | None:
    """The first that was trained on the source; else one of real videos, for real ones through a network of the gym."""
    for card in shipped:
        if _of(card["trained_on"], source):
            return card
    if source.lower() == DRAWN or not all(_of(each, DRAWN) for each in trained):
        return None
    return next((card for card in shipped if card["trained_on"] and not _of(card["trained_on"], DRAWN)), None)


def say_misfit(source: str, chosen: Sequence[Any], *, better: bool = True) -> None:
    """The caption near an answer, where there is something to say. `chosen`: checkpoints as the pages choose them."""
    try:
        cards = [card_of(each) for each in chosen]
    except ValueError:  # said where its network is opened
        return
    if said := misfit(cards, source, [card_of(each) for each in open_library().checkpoints] if better else ()):
        st.caption(f":material/info: {said}")


def say_misfit_of(clip: ClipChoice, chosen: Sequence[Any], *, better: bool = True) -> None:
    """The same for the clip that is open."""
    say_misfit(clip.open().source, chosen, better=better)
