"""Soft shadows on the ground: the bones of everybody, cast along the light onto level ground and blurred."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from training.gym.figure import Stage
from training.gym.kinematics import Figure


def cast_shadow(
    people: Sequence[tuple[Figure, Stage]], light: np.ndarray, size: int, blobs: Sequence[tuple[np.ndarray, float]] = ()
) -> np.ndarray:
    """[T, size, size] in [0, 1]: the soft shadows of people on level ground, at half resolution scaled up.

    `blobs`: round things on the ground, as (pixel where they touch it [T, 2], radius in pixels).
    """
    length = len(people[0][1].origin)
    small = max(size // 2, 16)
    ratio, one = small / size, 1 << 4
    slope_x, slope_z = light[0] / -light[1], light[2] / -light[1]
    masks = np.zeros((length, small, small), np.uint8)
    for figure, stage in people:
        joints = figure.joints()
        turn = np.array(
            [[np.cos(stage.yaw), 0, np.sin(stage.yaw)], [0, 1, 0], [-np.sin(stage.yaw), 0, np.cos(stage.yaw)]]
        )
        world = np.concatenate([joints, figure.trunk.head[:, None], figure.trunk.pelvis[:, None]], axis=1) @ turn.T
        height = (
            np.maximum(world[..., 1] - 0.02, 0.0) * 0.55
        )  # shorter than the light would have it: it stays on the floor
        ground = np.stack([world[..., 0] - slope_x * height, 0 * height, world[..., 2] - slope_z * height], axis=-1)
        pixels = (stage.pixels(ground @ turn) + 0.5) * ratio - 0.5
        thick = float(stage.unit.mean()) * ratio
        bones = (
            (0, 16, 0.17),
            (15, 15, 0.12),
            (0, 15, 0.06),
            (3, 7, 0.06),
            (4, 8, 0.06),
            (7, 11, 0.05),
            (8, 12, 0.05),
            (16, 9, 0.09),
            (16, 10, 0.09),
            (9, 13, 0.07),
            (10, 14, 0.07),
            (13, 13, 0.1),
            (14, 14, 0.1),
        )
        for t in range(length):
            places = np.round(pixels[t] * one).astype(int)
            for a, b, width in bones:
                start, end = tuple(places[a].tolist()), tuple(places[b].tolist())
                cv2.line(masks[t], start, end, 255, max(1, round(width * thick)), cv2.LINE_8, 4)
    for places, radius in blobs:
        axes = (round(1.1 * radius * ratio * one), round(0.4 * radius * ratio * one))
        for t, (x, y) in enumerate(np.round(places * ratio * one).astype(int).tolist()):
            cv2.ellipse(masks[t], (x, y), axes, 0, 0, 360, 255, -1, cv2.LINE_8, 4)
    soft = np.empty((length, size, size), np.float32)
    blur = max(0.8, 0.016 * small)
    for t in range(length):
        soft[t] = cv2.resize(cv2.GaussianBlur(masks[t], (0, 0), blur), (size, size), interpolation=cv2.INTER_LINEAR)
    return soft * np.float32(1 / 255)
