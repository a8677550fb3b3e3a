"""Mixup: clips of a batch laid over each other two by two, and the loss of both names.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018. A network that knows its few training clips by
heart is sure of itself on others; between two clips it has to say how much of each there is. A clip keeps the larger
share and decides which joints are there: one that it has lies between its place and its partner's, one that only the
partner has stays away, or a clip without joints would show the whole skeleton of another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Mixed(NamedTuple):
    frames: Tensor
    joints: Tensor
    score: Tensor
    partner: Tensor
    """[B]: the index of whom each clip is mixed with."""
    share: float
    """Part of the clip itself, 0.5 to 1; that of its partner is the rest."""


def mixup(frames: Tensor, joints: Tensor, score: Tensor, alpha: float, seed: int) -> Mixed:
    """Mix a batch with itself: frames [B, ...], joints [B, T, M, J, ...] (a place or a trail), score [B, T, M, J].

    The share is drawn from Beta(alpha, alpha), one for the batch as in the paper. With several processes each mixes its
    own part of a batch.
    """
    generator = np.random.default_rng(seed)
    share = float(generator.beta(alpha, alpha))
    share = max(share, 1 - share)
    partner = torch.from_numpy(generator.permutation(len(frames))).to(frames.device)
    own, other = share * score, (1 - share) * score[partner]
    weight = own / (own + other).clamp(min=1e-9)
    weight = weight.reshape(*weight.shape, *[1] * (joints.dim() - weight.dim()))
    placed = torch.where(weight > 0, weight * joints + (1 - weight) * joints[partner], joints)
    seen = torch.where(score > 0, own + other, 0)
    return Mixed(share * frames + (1 - share) * frames[partner], placed, seen, partner, share)
