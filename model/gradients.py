"""A trunk whose filters are written down, for few clips: frames -> F_a, F_b. Not in the paper.

Some hundreds of clips do not teach convolutions what to look for; they are learnt by heart. What was looked for before
convolutions were learnt can be written down: histograms of oriented gradients (Dalal and Triggs, CVPR 2005) of

    the picture I,
    its change I_t into the next one (motion boundaries: Dalal, Triggs and Schmid, ECCV 2006),
    and normal flow -I_t grad(I) / |grad(I)|, what an edge shows of a motion (Horn and Schunck, 1981),

each in `DIRECTIONS` directions, blurred onto the grids of F_a and F_b, under a square root. What is learnt is how they
are mixed, at each place alone. Index i of F_a is centred on pixel 2i and index j of F_b on pixel 8j, as in MC3-18.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from model.backbone import Trunk, changes, make_norm
from model.config import ModelConfig

DIRECTIONS = 8
CHANNELS = 3 * DIRECTIONS
FLAT = 0.005
"""Squared gradient, in units of normalised colours, below which a place shows no motion."""
DARK = 1e-4
"""Added under the square root, whose slope at zero is infinite."""


class Gradients(Trunk):
    """frames [B, 3, T, H, W] -> F_a [B, C, T, H/2, W/2], F_b [B, 4C, T, H/8, W/8]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c, norm = config.width, config.backbone_norm
        self.norm_a, self.norm_b = make_norm(norm, CHANNELS), make_norm(norm, CHANNELS)
        self.project_a = nn.Conv3d(CHANNELS, c, 1)
        self.project_b = nn.Sequential(
            nn.Conv3d(CHANNELS, 4 * c, 1), make_norm(norm, 4 * c), nn.GELU(), nn.Conv3d(4 * c, 4 * c, 1)
        )

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        half = halved(oriented_gradients(frames))
        histograms_a, histograms_b = (
            rearrange((x + DARK).sqrt() - math.sqrt(DARK), "(b t) c h w -> b c t h w", b=len(frames))
            for x in (half, halved(halved(half)))
        )
        return self.project_a(self.norm_a(histograms_a)), self.project_b(self.norm_b(histograms_b))


def oriented_gradients(frames: Tensor) -> Tensor:
    """[B, 3, T, H, W] -> [B T, CHANNELS, H, W]: what of each of the three gradients points in each direction.

    Of the picture (dark to bright), of normal flow (from where to where), of the change. Direction k of the image plane
    is k / DIRECTIONS of a turn from right to down; what points away from it counts as nothing.
    """
    grey = frames.mean(1)
    change = changes(frames).mean(1)
    x, y = _gradient(grey + change / 2)  # midway between the two frames, where a moving edge is neither early nor late
    flow = -change.flatten(0, 1)[:, None] / (x.square() + y.square() + FLAT).sqrt()
    angle = torch.arange(DIRECTIONS, device=frames.device) * (2 * math.pi / DIRECTIONS)
    right, down = angle.cos()[:, None, None].to(frames), angle.sin()[:, None, None].to(frames)
    pairs = (_gradient(grey), (flow * x, flow * y), _gradient(change))
    return torch.cat([(right * x + down * y).relu() for x, y in pairs], dim=1)


def _gradient(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's derivatives of [B, T, H, W] to the right and down, per pixel: each [B T, 1, H, W]."""
    x = F.pad(picture.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    columns = (x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]) / 4
    rows = (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]) / 4
    return (columns[..., 2:] - columns[..., :-2]) / 2, (rows[:, :, 2:] - rows[:, :, :-2]) / 2


def halved(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H/2, W/2], blurred by [1 2 1] / 4 along both axes; index i is centred on pixel 2i."""
    side = x.new_tensor([0.25, 0.5, 0.25])
    kernel = (side[:, None] * side).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=x.shape[1])
