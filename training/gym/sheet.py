"""A contact sheet of the gym: one row a label, one column a frame, joints drawn, the cause framed and tinted."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from tqdm import tqdm

from training.clip import Clip
from training.gym.film import shoot
from training.gym.palette import Split

_LIMB_COLOURS = ((250, 214, 84), (96, 205, 255), (255, 122, 122), (88, 170, 255), (255, 96, 170))
"""Head and trunk, left arm, right arm, left leg, right leg: left is blue, right is red."""
MARGIN, CAPTION = 4, 18


def draw_joints(clip: Clip, frame: int, zoom: int = 1) -> np.ndarray:
    """[zoom H, zoom W, 3] uint8: frame `frame` with the bones and joints whose score is not 0."""
    height, width = clip.size
    image = cv2.resize(clip.frames[frame], (width * zoom, height * zoom), interpolation=cv2.INTER_CUBIC)
    one = 1 << 4
    for person in range(clip.people):
        places = np.round((zoom * (clip.joints[frame, person] + 0.5) - 0.5) * one).astype(int).tolist()
        score = clip.score[frame, person]
        for a, b in clip.layout.bones:
            if score[a] > 0 and score[b] > 0:
                colour = _LIMB_COLOURS[clip.layout.limb_of[b]]
                cv2.line(image, tuple(places[a]), tuple(places[b]), colour, max(1, zoom), cv2.LINE_AA, 4)
        for joint, place in enumerate(places):
            if score[joint] > 0:
                cv2.circle(image, tuple(place), round(1.3 * zoom * one), (255, 255, 255), -1, cv2.LINE_AA, 4)
    return image


def _tinted(clip: Clip, frame: int, image: np.ndarray) -> np.ndarray:
    """The outline of the causal pixels in magenta."""
    if clip.cause is None or not clip.cause.pixels[frame].any():
        return image
    mask = cv2.resize(clip.cause.pixels[frame].astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(image, outlines, -1, (255, 40, 200), 1)
    return image


def contact_sheet(
    labels: Sequence[str],
    seed: int,
    size: int = 112,
    frames: int = 16,
    shown: int = 12,
    zoom: int = 1,
    split: Split = "train",
    joints: bool = True,
    cause: bool = True,
) -> np.ndarray:
    """[H, W, 3] uint8: `shown` of the `frames` frames of one clip a label."""
    columns = np.round(np.linspace(0, frames - 1, shown)).astype(int)
    cell = size * zoom
    height, width = len(labels) * (cell + CAPTION + MARGIN), shown * (cell + MARGIN) + MARGIN
    sheet = np.full((height, width, 3), 250, np.uint8)
    for row, label in enumerate(tqdm(labels, desc="rendering", unit="clip", delay=2)):
        clip = shoot(label, seed, size, frames, split)
        top = row * (cell + CAPTION + MARGIN)
        assert clip.cause is not None
        caption = f"{label}   seed {seed}   cause: {clip.cause.kind}"
        cv2.putText(sheet, caption, (MARGIN, top + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 48), 1, cv2.LINE_AA)
        for column, frame in enumerate(columns):
            x, y = MARGIN + column * (cell + MARGIN), top + CAPTION
            plain = cv2.resize(clip.frames[frame], (cell, cell), interpolation=cv2.INTER_CUBIC)
            image = draw_joints(clip, int(frame), zoom) if joints else plain
            sheet[y : y + cell, x : x + cell] = _tinted(clip, int(frame), image) if cause else image
            if clip.cause.frames[frame]:
                sheet[y + cell : y + cell + 3, x : x + cell] = (255, 40, 200)
    return sheet
