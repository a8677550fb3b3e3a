"""A second task in training for networks that see pixels only: which patch does every joint lie in?

A ViT that starts from nothing needs millions of pictures before its patches mean anything. Joints are known for every
frame we train on, so each patch can be told what it shows: of all patches of a frame, the one that holds the left wrist
should say so loudest. Joints are never read by the network, and what answers here is thrown away after training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class JointTask(nn.Module):
    """Tokens of patches [B, T, S, d] -> for every joint, which patch of the frame it lies in."""

    def __init__(self, d: int, joints: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, joints)

    def forward(self, patches: Tensor, joints: Tensor, score: Tensor, patch: int, size: tuple[int, int]) -> Tensor:
        """The cross-entropy of each clip [B], the mean over the joints that are seen in it.

        Args:
            patches: [B, T, S, d], row by row.
            joints: [B, T, M, J, 2] pixels of the frames; of several people each has an equal part in the answer.
            score: [B, T, M, J]; joints of score 0 are not asked for.
            patch: side of a patch, pixels.
            size: (height, width) of the frames.
        """
        target, asked = patch_of(joints, score, patch, size)
        said = self.head(self.norm(patches.float())).log_softmax(2)  # over the patches of the frame
        loss = -(target * said).sum(2) * asked
        return loss.sum((1, 2)) / asked.sum((1, 2)).clamp_min(1)


def patch_of(joints: Tensor, score: Tensor, patch: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """target [B, T, S, J], summing to 1 over the patches, and asked [B, T, J]: 1 where a joint is seen in the frame."""
    height, width = size
    rows, columns = height // patch, width // patch
    # pixel centres have whole coordinates, so the first patch spans -0.5 to patch - 0.5
    cell = ((joints.float() + 0.5) / patch).floor()
    limit = torch.tensor([columns, rows], device=cell.device)
    inside = ((cell >= 0) & (cell < limit)).all(-1) & (score > 0)
    index = torch.where(inside, cell[..., 1] * columns + cell[..., 0], 0).long()
    held = F.one_hot(index, rows * columns) * inside[..., None]  # [B, T, M, J, S]
    count = held.sum(2)
    people = count.sum(-1, keepdim=True)
    return (count / people.clamp_min(1)).transpose(2, 3), (people[..., 0] > 0).float()
