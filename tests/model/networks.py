"""Small networks and inputs with T != H != W, shared by the tests of the model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from model.config import ModelConfig
from model.transformer import DeformableTransformer


def small(**changes: Any) -> ModelConfig:
    """d = 16, two layers, five joints: milliseconds a pass."""
    settings: dict[str, Any] = {
        "classes": 3, "joints": 5, "frames": 4, "size": 32, "width": 4, "layers": 2, "heads": 2, "dropout": 0.0,
        "drop_path": 0.0, "joint_window": 3, "temporal_window": 2, "ffn_ratio": 2,
    }  # fmt: skip
    return ModelConfig(**{**settings, **changes})


def build(seed: int = 0, **changes: Any) -> DeformableTransformer:
    torch.manual_seed(seed)
    network = DeformableTransformer(small(**changes)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("offset.weight"):
            torch.nn.init.normal_(parameter, std=0.3)  # so that points really move
    return network


def inputs(
    frames: int = 5, height: int = 40, width: int = 48, people: int = 2, batch: int = 1, seed: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(batch, 3, frames, height, width, generator=generator)
    joints = torch.rand(batch, frames, people, 5, 2, generator=generator) * torch.tensor([width, height])
    score = (torch.rand(batch, frames, people, 5, generator=generator) > 0.25).float()
    return video, joints, score
