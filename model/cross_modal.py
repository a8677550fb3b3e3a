"""Cross-modal tokens: three trainable tokens a frame that carry context between RGB and pose (Sec. 3, Table 5).

`cross`: CLS, RGB and pose. RGB and CLS take part in 3D deformable attention, pose and CLS in joint stride attention,
all three in temporal stride attention; CLS is the one that crosses. `single`: one token plays the three roles.
`none`: no modal tokens; the head reads the mean patch and the mean pose token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.tokenizer import resize_time


class ModalTokens(nn.Module):
    """M [B, K, T, d] with K = 3, 1 or 0 tokens a frame, stored at T0 frames and resized to any T."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.roles = config.roles
        self.tokens = nn.Parameter(torch.empty(len(self.roles), config.frames, config.dim))
        nn.init.trunc_normal_(self.tokens, std=0.02)

    def forward(self, batch: int, frames: int) -> Tensor:
        return resize_time(self.tokens, frames).expand(batch, -1, -1, -1)

    @property
    def with_patches(self) -> list[int]:
        """Indices of the tokens that join 3D deformable attention: RGB and CLS."""
        return [i for i, role in enumerate(self.roles) if role in {"rgb", "cls", "shared"}]

    @property
    def with_pose(self) -> list[int]:
        """Indices of the tokens that join joint stride attention: pose and CLS."""
        return [i for i, role in enumerate(self.roles) if role in {"pose", "cls", "shared"}]

    @property
    def crossing(self) -> int | None:
        """Index of the token that takes part in both, and is projected between them (M'_CLS, M*_CLS -> M_CLS)."""
        return next((i for i, role in enumerate(self.roles) if role in {"cls", "shared"}), None)


class CrossProjection(nn.Module):
    """[M'_CLS | M*_CLS] -> M_CLS, frame by frame ("projected together into a new single" token)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * dim, dim)
        # The mean of the two at the start: neither modality is favoured before training.
        with torch.no_grad():
            eye = torch.eye(dim)
            self.linear.weight.copy_(torch.cat([eye, eye], dim=1) / 2)
            self.linear.bias.zero_()

    def forward(self, after_patches: Tensor, after_pose: Tensor) -> Tensor:
        return self.linear(torch.cat([after_patches, after_pose], dim=-1))
