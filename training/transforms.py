"""Augmentation, and tensors as the network wants them.

What is random about a clip is drawn once a clip, from a generator that is passed in: frames, crop, scale, mirror and
colour. Geometry is one `View` for frames and joints together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from training.clip import Clip
from training.skeleton import SkeletonLayout
from training.view import Shown, View, fit_matrix, shown_region

Sample = tuple[np.ndarray, np.ndarray, np.ndarray]
"""frames [T, h, w, 3] uint8, joints [T, M, J, 2] or, with their trail, [T, M, J, PLACES, 2], score [T, M, J]."""


PARTS = ("mute_frames", "mute_joints", "swap_frames", "swap_joints")
"""What may be done to one modality of a clip, at most one of it."""


@dataclass(frozen=True)
class Normalisation:
    """Channel statistics of frames in [0, 1]; the defaults are those of Kinetics."""

    mean: tuple[float, float, float] = (0.43216, 0.394666, 0.37645)
    std: tuple[float, float, float] = (0.22803, 0.22145, 0.216989)

    def __post_init__(self) -> None:
        if not all(0 <= mean <= 1 for mean in self.mean) or not all(0 < std <= 1 for std in self.std):
            raise ValueError("normalisation needs three means from 0 to 1 and three deviations above 0 and up to 1.")


@dataclass(frozen=True)
class Augmentation:
    """How much a training clip is varied."""

    smallest: float = 0.75
    """Smallest side of the crop, as a part of the largest square in what there is to see (`fit`)."""
    aspect: float = 1.15
    """Largest ratio of width to height of the crop, and its inverse."""
    outside: float = 0.05
    """How far the crop may leave what there is to see, as a part of its side."""
    flip: bool = False
    """Mirror half of the clips. Only for data whose labels carry no side."""
    jitter_frames: bool = True
    """A random frame of each segment instead of its middle."""
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.25
    joint_noise: float = 0.005
    """Standard deviation of joint places, as a part of the image side."""
    joint_dropout: float = 0.02
    """Probability that a joint is not seen in a frame."""
    joint_shift: float = 0.0
    """Standard deviation of a joint's place over the whole clip, beside the noise of each frame; the same unit."""
    joint_gone: float = 0.0
    """Probability that a joint is seen in no frame of a clip."""
    rotation: float = 0.0
    """Largest turn of the image and the joints, in degrees."""
    shortest: float = 1.0
    """Smallest part of the clip's time that is shown."""
    mute_frames: float = 0.0
    """Probability that a clip is shown without its pictures: every pixel has the mean colour that the weights
    expect."""
    mute_joints: float = 0.0
    """Probability that a clip is shown without its joints. Never both."""
    swap_frames: float = 0.0
    """Probability that a clip is shown with the pictures of another one; its joints keep their name. Training clips are
    soon known by heart, by either modality alone; of two that contradict each other a network learns how far to trust
    each. Never together with muting."""
    swap_joints: float = 0.0
    """Probability that a clip is shown with the joints of another one; its pictures keep their name."""

    def __post_init__(self) -> None:
        chances = [getattr(self, name) for name in PARTS]
        if min(chances) < 0 or sum(chances) > 1:
            raise ValueError(f"augmentation.{', '.join(PARTS)} are {chances}; each from 0, their sum at most 1.")


def random_view(
    clip: Clip,
    frames: int,
    size: int,
    augmentation: Augmentation,
    generator: np.random.Generator,
    fit: Shown = "crop",
) -> View:
    """A random crop, of the frame or of what lies around the joints, of a random frame of each of `frames` equal
    segments."""
    left_most, top_most, width, height = shown_region(clip, fit)
    span = len(clip) * (generator.uniform(augmentation.shortest, 1) if augmentation.shortest < 1 else 1)
    start = generator.uniform(0, len(clip) - span) if span < len(clip) else 0.0
    edges = start + np.arange(frames) * span / frames
    offset = generator.random(frames) if augmentation.jitter_frames else np.full(frames, 0.5)
    index = np.minimum((edges + offset * span / frames).astype(int), len(clip) - 1)
    side = min(height, width) * generator.uniform(augmentation.smallest, 1)
    stretch = np.exp(generator.uniform(-1, 1) * np.log(augmentation.aspect) / 2)
    wide, high = side * stretch, side / stretch
    slack = augmentation.outside * side
    # A crop that is larger than the frame, to which aspect may stretch it, hangs over on either side.
    left = left_most + generator.uniform(min(0, width - wide) - slack, max(width - wide, 0) + slack)
    top = top_most + generator.uniform(min(0, height - high) - slack, max(height - high, 0) + slack)
    mirrored = augmentation.flip and bool(generator.random() < 0.5)
    matrix = fit_matrix((left, top, wide, high), (size, size), mirrored)
    if augmentation.rotation:
        matrix = turn(matrix, np.radians(generator.uniform(-1, 1) * augmentation.rotation), size)
    return View(index, matrix, (size, size), mirrored)


def turn(matrix: np.ndarray, angle: float, size: int) -> np.ndarray:
    """The affine map [2, 3] followed by a turn of the image by `angle` (radians) about its centre."""
    c, s, middle = np.cos(angle), np.sin(angle), (size - 1) / 2
    rotation = np.array([[c, -s], [s, c]])
    return np.column_stack([rotation @ matrix[:, :2], rotation @ (matrix[:, 2] - middle) + middle])


def vary(sample: Sample, augmentation: Augmentation, generator: np.random.Generator) -> Sample:
    """Colour of the frames, noise and dropout of the joints; the sample is not changed, a new one is returned."""
    frames, joints, score = sample
    gain = 1 + generator.uniform(-1, 1) * augmentation.contrast
    shift = 255 * generator.uniform(-1, 1) * augmentation.brightness / 2 + 128 * (1 - gain)
    saturation = 1 + generator.uniform(-1, 1) * augmentation.saturation
    grey = np.array([0.299, 0.587, 0.114])
    mix = gain * (saturation * np.eye(3) + (1 - saturation) * np.tile(grey, (3, 1)))
    matrix = np.concatenate([mix, np.full((3, 1), shift)], axis=1)
    length, height, width = frames.shape[:3]
    coloured = cv2.transform(frames.reshape(length * height, width, 3), matrix).reshape(frames.shape)
    noise = np.asarray(generator.normal(0, augmentation.joint_noise * width, (*score.shape, 2)))
    kept = generator.random(score.shape) >= augmentation.joint_dropout
    if augmentation.joint_shift or augmentation.joint_gone:
        noise = noise + generator.normal(0, augmentation.joint_shift * width, (*score.shape[1:], 2))
        kept &= generator.random(score.shape[1:]) >= augmentation.joint_gone
    if joints.ndim > noise.ndim:
        noise = noise[..., None, :]  # a joint and its trail move together
    return coloured, (joints + noise).astype(np.float32), (score * kept).astype(np.float32)


def mute_or_swap(
    sample: Sample,
    augmentation: Augmentation,
    generator: np.random.Generator,
    normalisation: Normalisation,
    another: Callable[[], Sample],
) -> Sample:
    """Hide one modality of a sample, or take it from `another` clip, as often as `augmentation` says; the sample is not
    changed, a new one is returned."""
    chances = [getattr(augmentation, name) for name in PARTS]
    if not any(chances):
        return sample
    frames, joints, score = sample
    drawn = int(np.searchsorted(np.cumsum(chances), generator.random(), side="right"))
    if drawn == PARTS.index("mute_frames"):
        frames = np.broadcast_to(np.rint(255 * np.array(normalisation.mean)).astype(np.uint8), frames.shape)
    elif drawn == PARTS.index("mute_joints"):
        score = np.zeros_like(score)
    elif drawn == PARTS.index("swap_frames"):
        frames, _, _ = another()
    elif drawn == PARTS.index("swap_joints"):
        _, joints, score = another()
    return frames, joints, score


def batch(
    samples: Sequence[Sample], layout: SkeletonLayout, normalisation: Normalisation
) -> tuple[Tensor, Tensor, Tensor]:
    """What the network reads.

    Returns: frames [B, 3, T, h, w] float32, normalised; joints [B, T, M, J, 2] (with a trail: [B, T, M, J, PLACES, 2])
    float32, pixels of the frames, in the layout's window order; score [B, T, M, J]. M is the largest in the batch and
    at least 1; the rest has score 0.
    """
    people = max(1, *(joints.shape[1] for _, joints, _ in samples))
    order = list(layout.window_order)
    length, count = len(samples[0][0]), len(layout)
    joints = np.zeros((len(samples), length, people, count, *samples[0][1].shape[3:]), np.float32)
    score = np.zeros(joints.shape[:4], np.float32)
    for slot, (_, places, seen) in enumerate(samples):
        joints[slot, :, : places.shape[1]] = places[:, :, order]
        score[slot, :, : seen.shape[1]] = seen[:, :, order]
    frames = torch.from_numpy(np.stack([frames for frames, _, _ in samples])).permute(0, 4, 1, 2, 3)
    mean = torch.tensor(normalisation.mean).view(1, 3, 1, 1, 1) * 255
    std = torch.tensor(normalisation.std).view(1, 3, 1, 1, 1) * 255
    pixels = frames.to(torch.float32, memory_format=torch.channels_last_3d)
    return pixels.sub_(mean).div_(std), torch.from_numpy(joints), torch.from_numpy(score)
