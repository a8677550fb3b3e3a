"""A network whose logits are known by hand: class 0 counts seen joints by weight, class 1 sees brightness.

logit 0 = mean over frames of sum over people and joints of weight[joint] * score + bias[0]
logit 1 = mean over frames of frame_weight[t] * (mean normalised pixel of frame t) + bias[1]
logits 2, 3 = bias
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

import model
from model.config import tiny
from model.tap import HEAD_TOKENS, tap
from training.recognizer import Recognizer
from training.skeleton import JHMDB


class Pixels(nn.Module):
    """Stands for the backbone: F_a and F_b are the pixels."""

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        return frames, frames


class Linear(model.DeformableTransformer):
    """Reads scores and brightness, one feature each."""

    joint_weight: Tensor
    frame_weight: Tensor

    def features(self, frames: Tensor, joints: Tensor, score: Tensor) -> Tensor:
        pixels, _ = self.backbone(frames)
        tokens = torch.zeros(len(frames), frames.shape[2], 1, self.config.dim)
        tokens[:, :, 0, 0] = (score * self.joint_weight).sum((2, 3))
        tokens[:, :, 0, 1] = pixels.mean((1, 3, 4)) * self.frame_weight[: frames.shape[2]]
        return tap(HEAD_TOKENS, tokens)


def linear_recognizer(
    joints: dict[str, float] | None = None,
    frames: Sequence[float] = (0.0,) * 5,
    bias: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
) -> Recognizer:
    length = len(frames)
    torch.manual_seed(0)
    network = Linear(tiny(classes=4, frames=length, token_mode="single", width=4)).eval()
    network.backbone = Pixels()  # type: ignore[assignment]
    weight = torch.tensor([(joints or {}).get(JHMDB.joints[joint], 0.0) for joint in JHMDB.window_order])
    network.register_buffer("joint_weight", weight)
    network.register_buffer("frame_weight", torch.tensor(frames))
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.weight[0, 0] = network.head.weight[1, 1] = 1.0
        network.head.bias.copy_(torch.tensor(bias))
    card = model.Card(
        labels=("a", "b", "c", "d"), layout="jhmdb15", frames=length, size=48, name="linear",
        mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    )  # fmt: skip
    return Recognizer(network, card, "linear0000000000")
