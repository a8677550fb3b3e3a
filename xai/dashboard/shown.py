"""What a page shows of a clip through a checkpoint: the bundled payload without torch, or one computed live."""

from __future__ import annotations

from typing import Any

import streamlit as st

from xai.dashboard.choose import ClipChoice, open_checkpoint
from xai.dashboard.library import BundledCheckpoint, open_library


def payload_of(clip: ClipChoice, checkpoint: Any) -> dict[str, Any] | None:
    """What the player shows, or None after a sentence that says what is missing."""
    if checkpoint is None:
        st.info("Upload a checkpoint (.safetensors) to run it on a clip.")
        return None
    if clip == ClipChoice():
        st.info("Upload a video, and its joints if you have them, to see what the model does with it.")
        return None
    if isinstance(checkpoint, BundledCheckpoint) and clip.bundled:
        bundled = open_library().payload(checkpoint.key, clip.bundled.key)
        if bundled is not None:
            return bundled
    from xai.dashboard import live

    try:
        with st.spinner("Running the clip through the transformer", show_time=True):
            return live.payload(open_checkpoint(checkpoint), clip.open())
    except ValueError as error:
        st.error(plain(error))
        return None


def untrained(payload: dict[str, Any]) -> bool:
    """Were the weights behind this payload never trained?"""
    return not payload["model"].get("trained_on")


def plain(text: object) -> str:
    """Text of strangers (labels of a checkpoint, names of a clip) in Markdown: no markup of its own."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()<>#+-.!|$~:&" else letter for letter in str(text))
