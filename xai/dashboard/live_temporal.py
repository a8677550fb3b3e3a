"""Live computation for the page Temporal, shared by all sessions and bounded like that of `xai.dashboard.live`."""

from __future__ import annotations

from typing import Any

import streamlit as st

from training.clip import Clip
from training.recognizer import Recognizer
from xai.dashboard.live import turnstile
from xai.figures.neighbours import neighbours_payload
from xai.figures.order import order_test as run_order_test


@st.cache_resource(max_entries=16, show_spinner=False)
def _neighbours(checkpoint: str, clip: str, _recognizer: Recognizer, _clip: Clip) -> dict[str, Any]:
    with turnstile():
        return neighbours_payload(_recognizer, _clip)


def neighbours(network: Recognizer, clip: Clip) -> dict[str, Any]:
    """What the neighbours view shows. Raises ValueError in one sentence."""
    return _neighbours(network.checkpoint, clip.fingerprint, network, clip)


@st.cache_resource(max_entries=32, show_spinner=False)
def _order_test(checkpoints: tuple[str, ...], clip: str, _recognizers: list[Recognizer], _clip: Clip) -> dict[str, Any]:
    with turnstile():
        return run_order_test(_recognizers, _clip)


def order_test(networks: list[Recognizer], clip: Clip) -> dict[str, Any]:
    """Probabilities of the clip's class for the same frames in other orders."""
    return _order_test(tuple(network.checkpoint for network in networks), clip.fingerprint, networks, clip)
