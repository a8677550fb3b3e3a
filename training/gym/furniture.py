"""What stands behind and in front of the people: a seat, a stand, a pole, leaves in a corner."""

from __future__ import annotations

import cv2
import numpy as np

from training.gym.backdrop import MARGIN, Easel
from training.gym.kinematics import view_matrix
from training.gym.motion import stand_place
from training.gym.palette import Colour, blend, shade
from training.gym.scene import Scene


def place_in_view(scene: Scene, points: np.ndarray) -> np.ndarray:
    """[N, 3] (x, y in frame fractions, depth) of points [N, 3] in the main person's own frame."""
    person, seen = scene.people[0], points @ view_matrix(scene.people[0].yaw).T
    return np.stack([person.x + person.scale * seen[:, 0], person.y - person.scale * seen[:, 1], seen[:, 2]], axis=1)


def furnish(easel: Easel, scene: Scene) -> None:
    """The seat of the sitting pair, the stand of the picking pair; nothing for the others."""
    if scene.pair not in ("sit", "pick"):
        return
    height = scene.script.height
    half, depth = (0.125, -0.21) if scene.pair == "sit" else (0.075, stand_place(scene)[1])
    colour = blend(scene.script.prop[0] if scene.pair == "sit" else (176, 128, 84), (196, 176, 152), 0.5)

    def box(x0: float, x1: float, y0: float, y1: float, z0: float, z1: float) -> np.ndarray:
        corners = [[(x0, x1)[i & 1], (y0, y1)[i >> 1 & 1], (z0, z1)[i >> 2]] for i in range(8)]
        return place_in_view(scene, np.array(corners))

    floor = place_in_view(scene, np.array([[0.0, 0.0, depth]]))[0]
    size = scene.people[0].scale
    under = shade(scene.floor if scene.place != "park" else scene.green, 0.62)
    easel.ellipse(float(floor[0]), float(floor[1]), 1.5 * half * size, 0.42 * half * size, under)
    if scene.pair == "sit" and scene.script.shape % 2:
        solid_box(easel, box(-half, half, height, height + 0.27, depth - half - 0.035, depth - half), colour)
    solid_box(easel, box(-half, half, 0.0, height - 0.035, depth - half, depth + half), shade(colour, 0.82))
    wide = half * 1.06
    solid_box(easel, box(-wide, wide, height - 0.035, height, depth - wide, depth + wide), shade(colour, 1.06))


def solid_box(easel: Easel, corners: np.ndarray, colour: Colour) -> None:
    """A box from its 8 corners [8, 3] (x, y in frame fractions, depth); corner bits: 1 right, 2 up, 4 front."""
    faces = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 2, 6, 4), (1, 5, 7, 3), (2, 3, 7, 6))
    tones = (0.8, 0.9, 0.76, 0.84, 1.12)
    centre = corners.mean(axis=0)
    middle = [corners[list(face)].mean(axis=0) for face in faces]
    for index in sorted(range(len(faces)), key=lambda face: middle[face][2]):
        if middle[index][2] >= centre[2] - 1e-9:
            easel.polygon(corners[list(faces[index])][:, :2], shade(colour, tones[index]))


def occluder(scene: Scene, size: int) -> np.ndarray | None:
    """[S, S, 4] float32 (premultiplied, opacity 0 to 1) of what stands in front of everybody, or None."""
    if scene.occluder is None:
        return None
    thing, fine = scene.occluder, 1
    rng = np.random.default_rng(thing.seed)
    easel, cover = Easel(size * fine), Easel(size * fine)
    both = ((easel, None), (cover, (255, 255, 255)))
    if thing.kind == "pole":
        half = 0.016 * thing.size
        for index in range(6):
            tone = (0.72, 1.0, 1.12, 0.98, 0.8, 0.62)[index]
            for target, colour in both:
                x = thing.x - half + index * half / 3
                target.box(
                    x,
                    -MARGIN,
                    x + half / 3,
                    1 + MARGIN,
                    colour or shade(blend(thing.colour, (120, 124, 130), 0.6), tone),
                )
    else:
        corner = -0.02 if thing.x < 0.5 else 1.02
        for _ in range(26):
            angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.2) * thing.size
            x, y = corner + reach * np.cos(angle), 1.0 - abs(reach * np.sin(angle)) * 1.2
            tone = float(rng.uniform(0.5, 0.95))
            for target, colour in both:
                target.ellipse(x, y, 0.055, 0.018, colour or shade(scene.green, tone), float(np.degrees(angle)) + 40)
    side = round(size * (1 + 2 * MARGIN))
    opacity = cv2.GaussianBlur(cover.rgb[..., :1].astype(np.float32) / 255, (0, 0), 0.006 * easel.scale)[..., None]
    colours = cv2.GaussianBlur(easel.rgb.astype(np.float32), (0, 0), 0.006 * easel.scale)
    assert side == easel.side
    return np.concatenate([colours, opacity], axis=2)
