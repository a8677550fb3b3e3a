"""Hues that mean something, one for the player and for everything beside it: limbs, tokens, displacement in time.

The player states the same in its style sheet (player/player.css) and its canvases (player/drawing.js); a test holds
them together. Nothing here needs matplotlib, so that every page may ask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

LIMBS: Mapping[str, tuple[str, ...]] = {
    "light": ("#00866a", "#c4500b", "#9a6a00", "#23389a", "#0077b6"),
    "dark": ("#2cc29a", "#f0743e", "#f2b632", "#4f8fe0", "#7cc8f2"),
}
"""By theme: head and torso, left arm, right arm, left leg, right leg (after Okabe and Ito, darker on paper)."""
_TOKENS = {
    "light": {"cls": "#6d4fc4", "rgb": "#b8477a", "pose": "#11877c", "patch": "#c6cad2", "joint": "#454b56"},
    "dark": {"cls": "#a48bf2", "rgb": "#e57fae", "pose": "#3fbfb0", "patch": "#4d535f", "joint": "#d3d7de"},
}
_SAME = {"shared": "cls", "patches": "patch", "joints": "joint"}
TOKENS: Mapping[str, Mapping[str, str]] = {
    theme: {**hues, **{name: hues[other] for name, other in _SAME.items()}} for theme, hues in _TOKENS.items()
}
"""By theme and token."""
MOVED = ("#2563d9", "#7ea6e8", "#c9cdd3", "#f3ad63", "#e06c00")
"""From read earlier than its reference, through not moved in time, to read later; the same on paper and on black."""


def reach(moved: np.ndarray) -> float:
    """Where the scale of displacements ends, from all of a block in frames: half a frame at least, in half frames."""
    return max(0.5, math.ceil(2 * float(np.abs(moved).max(initial=0.0))) / 2)
