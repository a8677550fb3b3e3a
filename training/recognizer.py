"""Recognizer: a checkpoint that takes clips. What a program, the dashboard and the evaluation call.

recognizer = Recognizer.load("assets/checkpoints/gym-cross.safetensors")
prediction = recognizer(clip)
prediction.top(3)          # [("wave left hand", 0.97), ...]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import model
from training.clip import Clip
from training.errors import ClipError
from training.skeleton import layout_named
from training.transforms import Normalisation, batch
from training.view import View, centre_view


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network said about one clip, and the exact parts of it."""

    labels: tuple[str, ...]
    logits: np.ndarray
    """[class]."""
    probabilities: np.ndarray
    """[class], softmax of the logits."""
    slots: tuple[str, ...]
    """The tokens that the head pools in every frame: cls, rgb, pose; shared; or patches, joints."""
    ledger: np.ndarray
    """[class, slot, T]: the head is linear in what it pools, so `ledger.sum((1, 2)) + bias` is the logit."""
    bias: np.ndarray
    """[class]."""
    view: View
    """Which frames and which region of the clip the network saw."""

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.labels[i], float(self.probabilities[i])) for i in order]


@dataclass(frozen=True, eq=False)
class Recognizer:
    """A network in evaluation mode, its card, and the hash that names it. Holds nothing that a call changes."""

    network: model.DeformableTransformer | model.FrameWise
    card: model.Card
    checkpoint: str = ""

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Recognizer:
        """Read a checkpoint. `device` "auto" is CUDA if there is one, else the CPU."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        network, card = model.load(path, device)
        return cls(network, card, model.checkpoint_hash(path))

    @property
    def device(self) -> torch.device:
        return self.network.head.weight.device

    def view(self, clip: Clip, frames: int | None = None) -> View:
        """How the clip is shown to the network: evenly spaced frames, and the centre of the frame or what lies around
        the joints, as the network was trained."""
        return centre_view(clip, frames or self.card.frames, self.card.size, self.card.fit)

    def tensors(self, clip: Clip, view: View) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """frames [1, 3, T, h, w], joints [1, T, M, J, 2] (of a network that reads trails [1, T, M, J, PLACES, 2]) and
        score [1, T, M, J] as the network wants them."""
        layout = layout_named(self.card.layout)
        if clip.layout.name != layout.name:
            if clip.score.any():
                raise ClipError(
                    f"The joints of {clip.name or 'the clip'} follow the layout {clip.layout.name}; this checkpoint "
                    f"was trained on {layout.name}: bring joints of that layout, or a clip without joints."
                )
            empty = np.zeros((len(clip), 0, len(layout)), np.float32)
            clip = Clip(clip.frames, np.zeros((*empty.shape, 2), np.float32), empty, layout, clip.time, name=clip.name)
        read = batch([view.apply(clip, self.network.reads_trail)], layout, Normalisation(self.card.mean, self.card.std))
        return tuple(tensor.to(self.device) for tensor in read[:3])  # type: ignore[return-value]

    @torch.inference_mode()
    def __call__(self, clip: Clip, view: View | None = None) -> Prediction:
        """Classify one clip."""
        view = view or self.view(clip)
        tokens = self.network.features(*self.tensors(clip, view))
        logits = self.network.classify(tokens)[0].float()
        return Prediction(
            labels=self.card.labels,
            logits=logits.cpu().numpy(),
            probabilities=logits.softmax(-1).cpu().numpy(),
            slots=self.network.slots,
            ledger=self.network.ledger(tokens)[0].cpu().numpy(),
            bias=self.network.head.bias.detach().float().cpu().numpy(),
            view=view,
        )
