"""Sanity and stability: does a map depend on the network and the class, and does it hold still when nothing happens?

Randomisation (Adebayo et al. 2018): the entries of every weight tensor are put in random order, of the head alone and
of the whole network, and the map is made again. A map that stays as it was has shown the input and not the network.
Class contrast: the map is made for another class. Stability: it is made again after noise in the pixels, a jitter of
the joints, and a shift by one frame, none of which should change it much. All compared by rank correlation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from training.clip import Clip
from training.recognizer import Recognizer
from xai.explanation import Explanation
from xai.question import Progress, Question

Make = Callable[[Question], Explanation]
PIXEL_NOISE = 4.0
"""Standard deviation, of 255."""
JOINT_JITTER = 0.01
"""Standard deviation, as a part of the short side of the frame."""


@dataclass(frozen=True)
class Sanity:
    """Rank correlation of the map with the one made by a randomised network, or for another class."""

    head: float
    network: float
    other_class: float | None
    """None for a network with one class."""
    asked: str
    """The other class."""


@dataclass(frozen=True)
class Stability:
    """Rank correlation of the map with the one made after a change that should not matter."""

    pixels: float
    joints: float | None
    """None for a clip without joints."""
    shift: float | None
    """None where every frame of the clip is read, so that there is none to shift to."""

    @property
    def worst(self) -> float:
        return min(value for value in (self.pixels, self.joints, self.shift) if value is not None)


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; a constant map resembles only a constant map."""
    a, b = first.ravel().astype(float), second.ravel().astype(float)
    flat = np.ptp(a) == 0, np.ptp(b) == 0
    if any(flat):
        return float(all(flat))
    return float(spearmanr(a, b).statistic)


def randomised(recognizer: Recognizer, seed: int, only_head: bool = False) -> Recognizer:
    """The recognizer with the entries of its weight tensors in random order. The network itself is not touched."""
    network = copy.deepcopy(recognizer.network)
    generator = torch.Generator().manual_seed(seed)

    def shuffle(tensor: Tensor) -> None:
        order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
        tensor.copy_(tensor.flatten()[order].view_as(tensor))

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not only_head or name.startswith("head."):
                shuffle(parameter)
    return replace(recognizer, network=network, checkpoint=f"{recognizer.checkpoint} randomised")


def sanity(question: Question, explanation: Explanation, make: Make, progress: Progress) -> Sanity:
    """Make the map again with a randomised head, a randomised network, and for the strongest other class."""

    def again(recognizer: Recognizer) -> float:
        asked = Question.ask(
            recognizer, question.clip, question.target, question.against, seed=question.seed, progress=within(progress)
        )
        return similarity(explanation.values, make(asked).values)

    head = again(randomised(question.recognizer, question.seed, only_head=True))
    progress(1, 3)
    whole = again(randomised(question.recognizer, question.seed))
    progress(2, 3)
    order = [i for i in np.argsort(-question.prediction.logits) if i != question.target]
    if not order:
        return Sanity(head, whole, None, "")
    other = replace(question, target=int(order[0]), against=None, progress=within(progress))
    contrast = similarity(explanation.values, make(other).values)
    progress(3, 3)
    return Sanity(head, whole, contrast, question.labels[int(order[0])])


def stability(question: Question, explanation: Explanation, make: Make, progress: Progress) -> Stability:
    """Make the map again after three changes that should not matter."""
    rng = np.random.default_rng(question.seed)
    clip, view = question.clip, question.view

    def again(changed: Clip, index: np.ndarray) -> float:
        seen = replace(view, frame_index=index)
        prediction = question.recognizer(changed, seen)
        asked = replace(question, clip=changed, view=seen, prediction=prediction, progress=within(progress))
        return similarity(explanation.values, make(asked).values)

    noise = rng.normal(0, PIXEL_NOISE, clip.frames.shape)
    pixels = again(replace(clip, frames=np.clip(clip.frames + noise, 0, 255).astype(np.uint8)), view.frame_index)
    progress(1, 3)
    joints = None
    if clip.score.any():
        jitter = rng.normal(0, JOINT_JITTER * min(clip.size), clip.joints.shape)
        joints = again(replace(clip, joints=(clip.joints + jitter).astype(np.float32)), view.frame_index)
    progress(2, 3)
    later = np.minimum(np.asarray(view.frame_index) + 1, len(clip) - 1)
    shift = again(clip, later) if len(set(later)) == len(set(view.frame_index.tolist())) else None
    progress(3, 3)
    return Stability(pixels, joints, shift)


def within(progress: Progress) -> Progress:
    """Lets a long map be cancelled without moving the bar backwards: what it reports is not the whole."""

    def tick(done: int, total: int) -> None:
        progress(-1, 3)

    return tick
