"""The gym: short clips of a moving person whose label has a known cause.

On real clips nobody knows what decided. Here we do, by construction: labels come in minimal pairs (`PAIRS`) that
share scene, body, clothes, camera and every distractor, and differ in one thing. `clip` renders one, with that thing
marked in `Clip.cause`; `clip_without_cause` renders what is left when it is taken away.

>>> clip("wave left hand", seed=3, size=48).cause.kind
'pose'
"""

from __future__ import annotations

from training.clip import Clip
from training.gym.film import shoot
from training.gym.labels import LABELS, PAIRS, Pair, flip_label, pair_of
from training.gym.palette import SPLITS, Split

__all__ = ["LABELS", "PAIRS", "SPLITS", "Pair", "Split", "clip", "clip_without_cause", "flip_label", "pair_of"]


def clip(label: str, seed: int, size: int = 112, frames: int = 16, split: Split = "train") -> Clip:
    """Clip number `seed` of `label`: `frames` frames of `size` x `size` pixels at 10 frames a second.

    The same arguments give the same bytes, and the two labels of a pair share the scene of a seed. Two people slots
    always; the second one has score 0 where nobody else is there.
    """
    return shoot(label, seed, size, frames, split)


def clip_without_cause(label: str, seed: int, size: int = 112, frames: int = 16, split: Split = "train") -> Clip:
    """The same clip with exactly its cause removed; equal, up to its label and name, on both sides of the pair."""
    return shoot(label, seed, size, frames, split, without_cause=True)
