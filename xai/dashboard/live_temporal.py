"""Live computation for the page Temporal, shared by all sessions and bounded like that of `xai.dashboard.live`."""

from __future__ import annotations

from typing import Any

from training.clip import Clip
from training.recognizer import Recognizer
from xai.dashboard.turnstile import once_for_all, our_turn
from xai.figures.neighbours import neighbours_payload
from xai.figures.order import order_test as run_order_test


def neighbours(network: Recognizer, clip: Clip) -> dict[str, Any]:
    """What the neighbours view shows. Raises ValueError in one sentence."""

    def make() -> dict[str, Any]:
        with our_turn():
            return neighbours_payload(network, clip)

    return once_for_all(("neighbours", network.checkpoint, clip.identity), make)


def order_test(networks: list[Recognizer], clip: Clip) -> dict[str, Any]:
    """Probabilities of the clip's class for the same frames in other orders."""

    def make() -> dict[str, Any]:
        with our_turn():
            return run_order_test(networks, clip)

    return once_for_all(("order", *(network.checkpoint for network in networks), clip.identity), make)
