"""3D token search (3DTS, Algorithm A3): where in space and time to read the keys from.

    offsets   = tanh(conv1x1x1(GELU(LN(conv_k(Z))))) * range        one field, shared by all queries and heads,
                                                                         so that a key has one place to be drawn at
    reference = a regular grid of T~ x H~ x W~ points over the whole volume
    position  = clamp(reference + offsets, -1, 1)
    Z~        = Z read at position, trilinearly

Everything inside is in (t, y, x) order, normalised to [-1, 1] with cell centres: index i of n stands at
(2i + 1)/n - 1. `grid_sample` wants (x, y, z); the flip is in one line, in `sample`. With zero offsets and as many
points as cells the search returns its input.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from model.config import ModelConfig
from model.tap import PointsTap, offsets_tap, points_tap, tap, tapped

Volume = tuple[int, int, int]


def kernel_size(kernel: int, volume: Volume) -> Volume:
    """The kernel that fits: min(k, n // 2 + 1) on each axis.

    Two convolutions of k = 7 without padding leave nothing of T = 12, the paper's best setting, so only the first has
    k = 7: (12, 28, 28) -> (6, 22, 22). Short clips and small images get a centre crop of the same kernel, which keeps
    at least half of each axis and lets one checkpoint run at every T (Appendix C).
    """
    t, y, x = (min(kernel, n // 2 + 1) for n in volume)
    return t, y, x


def reference_points(points: Volume, device: torch.device | None = None) -> Tensor:
    """Cell centres of a grid over the whole volume: [T~, H~, W~, 3] in (t, y, x), each in (-1, 1)."""
    axes = [(2 * torch.arange(n, device=device, dtype=torch.float32) + 1) / n - 1 for n in points]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def to_index(position: Tensor, volume: Volume) -> Tensor:
    """Normalised (t, y, x) -> fractional token indices (t, y, x), where they are read: inside [0, n - 1].

    Token index tau is drawn at frame tau_t and image pixel (8 tau_x, 8 tau_y).
    """
    n = torch.tensor(volume, device=position.device, dtype=position.dtype)
    # The outer half cell reads the border token, as grid_sample's padding does.
    return torch.minimum(((position + 1) * n - 1) / 2, n - 1).clamp_min(0)


def sample(volume: Tensor, position: Tensor) -> Tensor:
    """Read `volume` [B, d, T, H, W] trilinearly at `position` [B, T~, H~, W~, 3] (t, y, x): [B, d, T~, H~, W~].

    In float32 under any autocast: half precision moves points by whole cells.
    """
    with torch.autocast(volume.device.type, enabled=False):
        grid = position.float().flip(-1)  # (t, y, x) -> (x, y, t), grid_sample's order
        return F.grid_sample(volume.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


class TokenSearch(nn.Module):
    """Z [B, T, H8 * W8, d] -> Z~ [B, T~ * H~ * W~, d]."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        d = config.dim
        self.layer = layer
        self.kernel, self.mode, space = config.offset_kernel, config.offset_mode, config.offset_range
        time = space if config.offset_time_range is None else config.offset_time_range
        self.range = time, space, space
        self.groups = d if config.offset_conv == "depthwise" else 1
        self.norm_input = nn.LayerNorm(d)
        self.conv = nn.Conv3d(d, d, self.kernel, groups=self.groups)
        self.norm = nn.LayerNorm(d)
        self.offset = nn.Linear(d, 3, bias=False)
        nn.init.normal_(self.offset.weight, std=1e-2)

    def offsets(self, z: Tensor) -> Tensor:
        """[B, d, T, H8, W8] (normalised tokens) -> offsets [B, T~, H~, W~, 3] in normalised (t, y, x)."""
        volume: Volume = z.shape[-3], z.shape[-2], z.shape[-1]
        crop = [
            slice((full - size) // 2, (full - size) // 2 + size)
            for full, size in zip(self.conv.kernel_size, kernel_size(self.kernel, volume), strict=True)
        ]
        weight = self.conv.weight[:, :, crop[0], crop[1], crop[2]]
        y = F.conv3d(z, weight, self.conv.bias, groups=self.groups)
        y = F.gelu(self.norm(rearrange(y, "b d t h w -> b t h w d")))
        bounded = torch.tanh(self.offset(y)) * z.new_tensor(self.range)
        if self.mode == "volume":
            return bounded
        cells = y.shape[1:4] if self.mode == "cells" else volume
        return bounded * 2 / z.new_tensor(cells)

    def forward(self, z: Tensor, height: int, width: int) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            grid = rearrange(self.norm_input(z), "b t (h w) d -> b d t h w", h=height, w=width)
            offsets = tap(offsets_tap(self.layer), self.offsets(grid))
            reference = reference_points((offsets.shape[1], offsets.shape[2], offsets.shape[3]), z.device)
            wanted = reference + offsets
            position = wanted.clamp(-1, 1)
            found = sample(rearrange(z, "b t (h w) d -> b d t h w", h=height, w=width), position)
        if tapped():
            clamped = (wanted.abs() > 1).any(-1)
            tap(points_tap(self.layer), PointsTap(reference, position, clamped, (z.shape[1], height, width)))
        return rearrange(found, "b d t h w -> b (t h w) d")
