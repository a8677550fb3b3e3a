"""One clip through several checkpoints: their payloads for the lanes of the player, bundled or computed now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import streamlit as st

from xai.dashboard.choose import ClipChoice
from xai.dashboard.library import BundledCheckpoint, Library
from xai.dashboard.shown import plain


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
