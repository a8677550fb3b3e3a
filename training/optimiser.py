"""AdamW and its parameter groups, and the moving average of the weights that is evaluated and shipped.

Three learning rates (the field trains offsets at a tenth, and a pretrained trunk below a fresh head), and no weight
decay where it would only pull towards zero: norms, biases, embeddings and modal tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model import FrameWise, Network

Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass(frozen=True)
class OptimiserConfig:
    """How the weights are changed."""

    lr: float = 3e-4
    """Peak learning rate. The paper does not say."""
    weight_decay: float = 0.05
    """Decoupled decay of matrices and kernels."""
    beta1: float = 0.9
    beta2: float = 0.999
    offset_lr: float = 0.1
    """Learning rate of the 3D token search (offset convolution and offset layer), as a part of `lr`."""
    backbone_lr: float = 1.0
    """Learning rate of the trunk (of a frame-wise network: all but its head), as a part of `lr`; 0.3 suits pretrained
    weights. 0 leaves its weights as they are and saves their gradients (`model.backbone_norm=frozen` its statistics
    too)."""
    clip_norm: float = 1.0
    """The gradient is scaled down to this length; 0 leaves it."""
    label_smoothing: float = 0.1
    """Share of the target spread over all classes."""
    mixup: float = 0.0
    """Clips of a batch are laid over each other, with shares from Beta(mixup, mixup) (training/mixup.py). 0 is none."""
    accumulate: int = 1
    """Batches whose gradients are averaged before one step."""
    joint_task: float = 0.0
    """Weight of a second task in training, for a network that sees pixels only: its patches say which joints lie in
    them (training/joint_task.py). 0 is none."""
    ema: float = 0.999
    """Decay of the moving average of the weights; 0 keeps none. Early in a stage it is (1 + n) / (10 + n)."""

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise ValueError(f"optimiser.accumulate is {self.accumulate}; it must be at least 1.")
        bounds = {
            "lr": (0, 1), "weight_decay": (0, 10), "beta1": (0, 0.9999), "beta2": (0, 0.999999), "offset_lr": (0, 10),
            "backbone_lr": (0, 10), "clip_norm": (0, 1e6), "label_smoothing": (0, 0.9), "ema": (0, 0.999999),
            "joint_task": (0, 100), "mixup": (0, 100),
        }  # fmt: skip
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"optimiser.{name} is {getattr(self, name)}; it must lie between {low} and {high}.")


def parameter_groups(network: Network, config: OptimiserConfig) -> list[dict]:
    """Groups for AdamW, each with `params`, `lr`, `weight_decay`, a `name` and its part of the rate, `scale`."""
    scales = {"base": 1.0, "offsets": config.offset_lr, "backbone": config.backbone_lr}
    members: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        # norms and biases have one axis; embeddings and modal tokens are added to tokens, not multiplied with them
        added = "embedding" in name or name.startswith("modal.") or name in ("pos_embed", "cls_token")
        decayed = parameter.ndim > 1 and not added
        members.setdefault((_part(network, name), decayed), []).append(parameter)
    return [
        {
            "name": f"{part}{'' if decayed else ', no decay'}",
            "params": parameters,
            "scale": scales[part],
            "lr": config.lr * scales[part],
            "weight_decay": config.weight_decay if decayed else 0.0,
        }
        for (part, decayed), parameters in members.items()
    ]


def _part(network: Network, name: str) -> str:
    if isinstance(network, FrameWise):  # a pretrained ViT brings everything but the head
        return "base" if name.startswith("head.") else "backbone"
    if name.startswith("backbone."):
        return "backbone"
    return "offsets" if ".search." in name else "base"


def freeze(network: Network, config: OptimiserConfig) -> None:
    """No gradients for a trunk that is not trained."""
    for name, parameter in network.named_parameters():
        if config.backbone_lr == 0 and _part(network, name) == "backbone":
            parameter.requires_grad_(False)


def make_optimiser(network: Network, config: OptimiserConfig, task: nn.Module | None = None) -> torch.optim.AdamW:
    """AdamW on the network and, at the full rate, on what answers a second task."""
    groups = parameter_groups(network, config)
    if task is not None:
        groups.append(
            {"name": "task", "params": list(task.parameters()), "scale": 1.0, "lr": config.lr, "weight_decay": 0.0}
        )
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2))


def set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Give every group its part of `lr`."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["scale"]


def moving_average(network: Network, decay: float) -> AveragedModel:
    """The moving average of weights and of batch statistics.

    Batch statistics are averaged too (`use_buffers`): averaged weights with the statistics of the last batches would
    be a network that never existed. Whole numbers, such as counts, are taken as they are: rounded averages would
    drift.
    """

    def average(averaged: Tensors, current: Tensors, steps: Tensor | int) -> None:
        if not averaged[0].is_floating_point():  # torch hands over one kind of numbers at a time
            for kept, now in zip(averaged, current, strict=True):
                kept.copy_(now)
            return
        n = int(steps)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, n)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)
