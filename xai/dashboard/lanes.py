"""One clip through several checkpoints: their payloads for the lanes of the player, bundled or computed now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import streamlit as st

from xai.dashboard.choose import ClipChoice
from xai.dashboard.library import BundledCheckpoint, Library
from xai.dashboard.shown import plain


def trained_words(lanes: Sequence[BundledCheckpoint]) -> tuple[str, str]:
    """Whether lanes can differ in more than their tokens, and the recipes as their cards tell them."""
    if len(lanes) < 2:
        return "", ""
    recipes = [str(lane.card.get("recipe", "")) for lane in lanes]
    alike = len({(lane.card.get("trained_on"), recipe) for lane, recipe in zip(lanes, recipes, strict=True)}) == 1
    said = "Each lane is a network of its own, trained alike; the clock is the same."
    if not alike or not recipes[0]:
        said = (
            "Each lane is a network of its own, and they were not trained alike, so a difference between two lanes "
            "need not come from their tokens; the clock is the same."
        )
    told = (
        f"**{plain(lane.name)}**: {plain(recipe or 'not said')}" for lane, recipe in zip(lanes, recipes, strict=True)
    )
    return said, "\n\n".join(told)


def lane_payloads(
    library: Library, checkpoints: Iterable[BundledCheckpoint], clip: ClipChoice
) -> list[dict[str, Any]] | None:
    """One payload a checkpoint, or None after a sentence that says what is wrong."""
    payloads = []
    for checkpoint in checkpoints:
        payload = library.payload(checkpoint.key, clip.bundled.key) if clip.bundled else None
        if payload is None:
            from xai.dashboard import live

            try:
                with st.spinner(f"Running {checkpoint.name}", show_time=True):
                    payload = live.payload(live.recognizer(checkpoint.path), clip.open())
            except ValueError as error:
                st.error(plain(error))
                return None
        payloads.append(payload)
    return payloads


def warned_once(payloads: Sequence[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The warning that every lane would carry, "" unless it is the same in all, and the payloads without it."""
    said = {payload["said"]["warning"] for payload in payloads}
    if len(payloads) < 2 or len(said) > 1 or "" in said:
        return "", list(payloads)
    quiet = [
        {**payload, "said": {**payload["said"], "warning": ""}, "id": f"{payload['id']} warned"} for payload in payloads
    ]
    return said.pop(), quiet
