"""Small clips with T != H != W and small recognizers, shared by the tests of the explanations."""

from __future__ import annotations

import numpy as np
import torch

import model
from model.config import tiny
from training.clip import Clip
from training.recognizer import Recognizer
from training.skeleton import JHMDB


def noise_clip(frames: int = 9, height: int = 60, width: int = 90, people: int = 2, seed: int = 0) -> Clip:
    """Coloured noise with joints anywhere, a fifth of them unseen."""
    generator = np.random.default_rng(seed)
    joints = generator.uniform(0, 1, (frames, people, 15, 2)) * [width - 1, height - 1]
    return Clip(
        frames=generator.integers(0, 256, (frames, height, width, 3), dtype=np.uint8),
        joints=joints.astype(np.float32),
        score=(generator.random((frames, people, 15)) > 0.2).astype(np.float32),
        layout=JHMDB,
        time=np.arange(frames) / 10,
        name=f"noise {seed}",
    )


def random_recognizer(seed: int = 0, size: int = 48, frames: int = 5, **changes: object) -> Recognizer:
    torch.manual_seed(seed)
    network = model.DeformableTransformer(tiny(classes=4, frames=frames, size=size, **changes)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("offset.weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    card = model.Card(labels=("a", "b", "c", "d"), layout="jhmdb15", frames=frames, size=size, name="random")
    return Recognizer(network, card, f"random{seed:010d}")
