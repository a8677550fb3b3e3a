"""The camera: from places in a scene to pixels of each frame, and where each person stands in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.gym.figure import Stage
from training.gym.motion import Performance
from training.gym.scene import Scene


@dataclass(frozen=True)
class Lens:
    """The camera of every frame: pixel = size * (matrix @ place + offset) - 0.5 for a place in frame fractions."""

    size: int
    matrix: np.ndarray
    """[T, 2, 2]"""
    offset: np.ndarray
    """[T, 2]"""

    def pixels(self, places: np.ndarray) -> np.ndarray:
        """[T, ..., 2] pixels of places [T, ..., 2]."""
        shape = (len(self.offset),) + (1,) * (places.ndim - 2)
        moved = np.einsum("tij,t...j->t...i", self.matrix, places) + self.offset.reshape(*shape, 2)
        return self.size * moved - 0.5


def lens_of(scene: Scene, time: np.ndarray, size: int) -> Lens:
    camera, n = scene.camera, len(time)
    p, beat = camera.phases, 2 * np.pi * time
    zoom = 1 + camera.zoom * (0.5 + 0.5 * np.sin(0.6 * beat + p[0]))
    roll = camera.roll * np.sin(0.7 * beat + p[1])
    shake = np.random.default_rng(camera.jitter_seed).standard_normal((n, 2)) * camera.jitter
    pan = (
        np.stack([camera.pan[0] * np.sin(0.5 * beat + p[2]), camera.pan[1] * np.sin(0.8 * beat + p[3])], axis=1) + shake
    )
    c, s = zoom * np.cos(roll), zoom * np.sin(roll)
    matrix = np.stack([c, -s, s, c], axis=1).reshape(n, 2, 2)
    middle = np.array([0.5, 0.55])
    return Lens(size, matrix, middle - matrix @ middle + pan)


def stage_of(scene: Scene, performance: Performance, lens: Lens, index: int) -> Stage:
    """Where person `index` stands in the pixels of each frame."""
    person = scene.people[index]
    shift = performance.offsets * person.scale if index == 0 else 0.0 * performance.offsets
    feet = np.stack([person.x + shift, np.full_like(shift, person.y)], axis=1)
    return Stage(lens.pixels(feet), lens.matrix * (person.scale * lens.size), person.yaw)
