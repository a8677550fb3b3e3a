"""What a network costs: parameters and floating point operations."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from model import NetworkConfig, build


def model_cost(config: NetworkConfig, people: int = 1) -> tuple[int, int]:
    """(parameters, floating point operations of the forward pass of one clip), at the size of `config`.

    A multiply-add is two operations. Convolutions, matrix products and attentions are counted.
    """

    def attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
        return sdpa_flop_count(query, key, value)

    fused = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}  # unknown to the counter
    network = build(config).eval().requires_grad_(False)
    # two clips: a single one takes a path through oneDNN that the counter does not know
    frames = torch.zeros(2, 3, config.frames, config.size, config.size)
    joints = torch.zeros(2, config.frames, people, config.joints, *network.joint_places)
    with FlopCounterMode(display=False, custom_mapping=fused) as counter:
        network(frames, joints, torch.ones(joints.shape[:4]))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2
