"""Places: a living room, a park, a sports hall, a town square, painted once a clip and moved by the camera.

Coordinates are frame fractions; the picture reaches MARGIN beyond the frame on every side so that the camera can
move. It is painted larger than it is shown and slightly blurred: the person is in focus, the place is not.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training.gym.palette import PALETTES, Colour, blend, shade
from training.gym.scene import Place, Scene
from training.gym.texture import noise

MARGIN = 0.10
SHIFT = 4
Points = list[tuple[float, float]]


class Easel:
    """An RGB picture over [-MARGIN, 1 + MARGIN] squared, drawn on in frame fractions."""

    def __init__(self, size: int) -> None:
        self.scale = float(size)
        """Pixels per frame."""
        self.side = round(size * (1 + 2 * MARGIN))
        self.rgb: np.ndarray = np.zeros((self.side, self.side, 3), np.uint8)

    def place(self, points: np.ndarray | Points) -> np.ndarray:
        return np.rint(((np.asarray(points, float) + MARGIN) * self.scale - 0.5) * (1 << SHIFT)).astype(np.int32)

    def row(self, y: float) -> int:
        """The picture row at height `y` of the frame."""
        return min(max(round((y + MARGIN) * self.scale), 0), self.side)

    def polygon(self, points: np.ndarray | Points, colour: Colour) -> None:
        cv2.fillPoly(self.rgb, [self.place(points)], colour, cv2.LINE_AA, SHIFT)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        thick = max(1, round(width * self.scale))
        cv2.polylines(self.rgb, [self.place(points)], False, colour, thick, cv2.LINE_AA, SHIFT)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0) -> None:
        one = 1 << SHIFT
        centre = (round(((x + MARGIN) * self.scale - 0.5) * one), round(((y + MARGIN) * self.scale - 0.5) * one))
        axes = (round(rx * one * self.scale), round(ry * one * self.scale))
        cv2.ellipse(self.rgb, centre, axes, turn, 0, 360, colour, -1, cv2.LINE_AA, SHIFT)

    def ramp(self, y0: float, y1: float, top: Colour, bottom: Colour) -> None:
        """A vertical gradient over the full width."""
        a, b = self.row(y0), self.row(y1)
        if b > a:
            weight = np.linspace(0, 1, b - a)[:, None, None]
            self.rgb[a:b] = (np.asarray(top) * (1 - weight) + np.asarray(bottom) * weight).astype(np.uint8)

    def grain(self, rng: np.random.Generator, y0: float, y1: float, coarse: tuple[int, int], strength: float) -> None:
        """Smooth brightness noise between two heights."""
        a, b = self.row(y0), self.row(y1)
        if b > a:
            field = 1 + strength * noise(rng, b - a, self.side, coarse)
            self.rgb[a:b] = np.clip(self.rgb[a:b] * field[..., None], 0, 255).astype(np.uint8)

    def rays(self, y0: float, y1: float, count: int, vanish: tuple[float, float], colour: Colour, width: float) -> None:
        """Lines over the ground that meet in a vanishing point above it."""
        for index in range(-count, count + 1):
            x = vanish[0] + index * 3.4 / count
            slope = (x - vanish[0]) / (y1 - vanish[1])
            self.line([(vanish[0] + slope * (y0 - vanish[1]), y0), (x, y1)], colour, width)


def _floor(easel: Easel, rng: np.random.Generator, scene: Scene, horizon: float, planks: int) -> None:
    bottom = 1 + MARGIN
    easel.ramp(horizon, bottom, shade(scene.floor, 0.86), shade(scene.floor, 1.12))
    easel.grain(rng, horizon, bottom, (3, 40), 0.05)
    vanish = (float(rng.uniform(0.3, 0.7)), horizon - 0.5)
    easel.rays(horizon, bottom, planks, vanish, shade(scene.floor, 0.78), 0.004)
    for step in range(7):
        y = horizon + (bottom - horizon) * ((step + rng.uniform(0, 0.6)) / 7) ** 1.5
        x = rng.uniform(-0.1, 0.9)
        easel.line([(x, y), (x + rng.uniform(0.08, 0.2), y)], shade(scene.floor, 0.8), 0.003)


def _plant(easel: Easel, rng: np.random.Generator, x: float, y: float, size: float, green: Colour, pot: Colour) -> None:
    for index in range(9):
        angle = -np.pi / 2 + (index - 4) * 0.3 + rng.uniform(-0.1, 0.1)
        reach = size * rng.uniform(0.55, 0.8)
        tip = (x + reach * 0.5 * np.cos(angle), y - 0.3 * size + reach * 0.5 * np.sin(angle))
        easel.ellipse(
            tip[0], tip[1], reach * 0.5, reach * 0.13, shade(green, float(rng.uniform(0.7, 1.15))), np.degrees(angle)
        )
    half = 0.2 * size
    easel.polygon(
        [(x - half, y - 0.34 * size), (x + half, y - 0.34 * size), (x + 0.7 * half, y), (x - 0.7 * half, y)], pot
    )
    easel.box(x - 1.1 * half, y - 0.4 * size, x + 1.1 * half, y - 0.31 * size, shade(pot, 1.15))


def _window(easel: Easel, x0: float, y0: float, x1: float, y1: float, frame: Colour, green: Colour) -> None:
    easel.box(x0 - 0.018, y0 - 0.018, x1 + 0.018, y1 + 0.024, frame)
    for index in range(12):
        a, b = y0 + (y1 - y0) * index / 12, y0 + (y1 - y0) * (index + 1) / 12
        easel.box(x0, a, x1, b, blend((168, 206, 238), (234, 242, 244), index / 11))
    for index, weight in enumerate((0.1, 0.42, 0.8)):
        easel.ellipse(
            x0 + weight * (x1 - x0) + 0.02, y1 - 0.01, 0.045, 0.05 + 0.012 * index, blend(green, (226, 238, 240), 0.35)
        )
    easel.box(x0 - 0.018, y1, x1 + 0.018, y1 + 0.024, frame)
    middle = (x0 + x1) / 2
    easel.box(middle - 0.006, y0, middle + 0.006, y1, frame)
    easel.box(x0, (y0 + y1) / 2 - 0.006, x1, (y0 + y1) / 2 + 0.006, frame)


def living_room(easel: Easel, rng: np.random.Generator, scene: Scene) -> None:
    horizon = float(rng.uniform(0.72, 0.77))
    easel.ramp(-MARGIN, horizon, shade(scene.wall, 1.08), shade(scene.wall, 0.94))
    style = int(rng.integers(3))
    if style == 0:
        for index in range(26):
            x = -MARGIN + index * 0.05
            easel.box(x, -MARGIN, x + 0.02, horizon, shade(scene.wall, 0.97))
    elif style == 1:
        for row in range(14):
            for column in range(16):
                x, y = -0.1 + column * 0.08 + 0.04 * (row % 2), -0.08 + row * 0.062
                easel.ellipse(x, y, 0.008, 0.011, shade(scene.wall, 0.93))
    easel.grain(rng, -MARGIN, horizon, (4, 4), 0.035)
    _floor(easel, rng, scene, horizon, 14)
    easel.box(-MARGIN, horizon - 0.028, 1 + MARGIN, horizon, (244, 240, 232))
    easel.box(-MARGIN, horizon - 0.003, 1 + MARGIN, horizon + 0.003, shade(scene.floor, 0.6))
    cloths = PALETTES[scene.split].cloths
    left, right = (0.02, 0.74) if rng.random() < 0.5 else (0.72, 0.04)
    _window(easel, left, 0.1, left + 0.24, 0.43, (246, 244, 238), scene.green)
    curtain = cloths[int(rng.integers(len(cloths)))]
    for x in (left - 0.055, left + 0.245):
        for fold in range(3):
            easel.box(
                x + 0.018 * fold,
                0.05,
                x + 0.018 * (fold + 1),
                0.56,
                shade(blend(curtain, scene.wall, 0.45), 0.92 + 0.08 * (fold % 2)),
            )
    easel.line([(left - 0.08, 0.05), (left + 0.33, 0.05)], (120, 96, 76), 0.009)
    sofa = blend(cloths[int(rng.integers(len(cloths)))], scene.wall, 0.4)
    x = right - 0.02
    easel.box(x - 0.02, horizon - 0.15, x + 0.3, horizon + 0.005, shade(sofa, 0.88))
    easel.box(x + 0.005, horizon - 0.085, x + 0.135, horizon - 0.02, sofa)
    easel.box(x + 0.145, horizon - 0.085, x + 0.275, horizon - 0.02, sofa)
    easel.box(x - 0.035, horizon - 0.105, x + 0.002, horizon + 0.02, shade(sofa, 0.8))
    easel.box(x + 0.278, horizon - 0.105, x + 0.315, horizon + 0.02, shade(sofa, 0.8))
    frame = blend(cloths[int(rng.integers(len(cloths)))], scene.wall, 0.3)
    for index in range(2):
        px, py, half = right + 0.03 + 0.15 * index, 0.24 - 0.03 * index, 0.05 + 0.012 * index
        easel.box(px - half, py - half * 1.2, px + half, py + half * 1.2, (92, 78, 68))
        easel.box(px - half * 0.85, py - half * 1.05, px + half * 0.85, py + half * 1.05, (244, 238, 226))
        easel.ellipse(px, py + 0.01, half * 0.5, half * 0.5, blend(frame, scene.green, index * 0.8))
    _plant(
        easel,
        rng,
        left + (0.35 if left < 0.3 else -0.1),
        horizon + 0.03,
        0.24,
        scene.green,
        blend(curtain, scene.floor, 0.4),
    )
    rug = blend(cloths[int(rng.integers(len(cloths)))], scene.floor, 0.5)
    easel.ellipse(0.5, 0.935, 0.46, 0.085, shade(rug, 0.9))
    easel.ellipse(0.5, 0.935, 0.42, 0.073, shade(rug, 1.14))


def _tree(easel: Easel, rng: np.random.Generator, x: float, y: float, size: float, green: Colour, haze: float) -> None:
    sky: Colour = (206, 224, 234)
    bark = blend((104, 78, 60), sky, haze)
    easel.polygon(
        [
            (x - 0.05 * size, y),
            (x - 0.03 * size, y - 0.6 * size),
            (x + 0.03 * size, y - 0.6 * size),
            (x + 0.05 * size, y),
        ],
        bark,
    )
    for layer, (tone, lift) in enumerate(((0.68, 0.0), (0.86, 0.04), (1.06, 0.09))):
        for _ in range(9):
            angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.27) * size
            r = size * rng.uniform(0.1, 0.17) * (1 - 0.16 * layer)
            cx, cy = x + away * np.cos(angle) - lift * size, y - 0.78 * size + 0.8 * away * np.sin(angle) - lift * size
            easel.ellipse(cx, cy, r, r * 0.9, blend(shade(green, tone), sky, haze))


def park(easel: Easel, rng: np.random.Generator, scene: Scene) -> None:
    horizon = float(rng.uniform(0.58, 0.64))
    bottom = 1 + MARGIN
    easel.ramp(-MARGIN, horizon, (142, 190, 230), (226, 238, 242))
    a, b = 0, easel.row(horizon)
    clouds = np.clip(noise(rng, b, easel.side, (5, 4)) + 0.5 * noise(rng, b, easel.side, (12, 9)) - 0.15, 0, 0.8)
    clouds *= np.linspace(1, 0.35, b)[:, None]
    easel.rgb[a:b] = (easel.rgb[a:b] * (1 - clouds[..., None]) + 252 * clouds[..., None]).astype(np.uint8)
    x = np.linspace(-MARGIN, 1 + MARGIN, 60)
    for depth, (lift, haze) in enumerate(((0.10, 0.62), (0.055, 0.4))):
        p, q = rng.uniform(0, 6.3, 2)
        crest = horizon - lift - 0.025 * np.sin(4.2 * x + p) - 0.014 * np.sin(9.0 * x + q) + 0.02 * depth
        hill = np.concatenate([np.stack([x, crest], 1), [[1 + MARGIN, horizon + 0.02], [-MARGIN, horizon + 0.02]]])
        easel.polygon(hill, blend(shade(scene.green, 0.85), (196, 216, 230), haze))
    for _ in range(7):
        _tree(
            easel,
            rng,
            float(rng.uniform(-0.1, 1.1)),
            horizon + 0.015,
            float(rng.uniform(0.16, 0.24)),
            scene.green,
            0.38,
        )
    easel.ramp(horizon, bottom, shade(scene.green, 1.22), shade(scene.green, 0.96))
    easel.grain(rng, horizon, bottom, (9, 7), 0.07)
    easel.grain(rng, horizon, bottom, (70, 90), 0.06)
    sand = blend((222, 204, 168), scene.green, 0.12)
    bend = float(rng.choice([-1, 1]))
    t = np.linspace(0, 1, 20)
    centre = 0.5 + bend * (0.30 * (1 - t) ** 2 - 0.02)
    y, half = horizon + (bottom - horizon) * t, 0.015 + 0.36 * t**1.4
    easel.polygon(np.concatenate([np.stack([centre - half, y], 1), np.stack([centre + half, y], 1)[::-1]]), sand)
    for side in (-1, 1):
        foot = horizon + float(rng.uniform(0.06, 0.12))
        x_tree = 0.5 + side * float(rng.uniform(0.36, 0.5))
        easel.ellipse(x_tree + 0.02, foot, 0.16, 0.018, shade(scene.green, 0.66))
        _tree(easel, rng, x_tree, foot, float(rng.uniform(0.5, 0.62)), scene.green, 0.06)
    for _ in range(26):
        fx, fy = rng.uniform(-0.1, 1.1), rng.uniform(horizon + 0.1, bottom)
        if abs(fx - np.interp(fy, y, centre)) > np.interp(fy, y, half) + 0.02:
            tone: Colour = ((250, 246, 236), (248, 218, 110), (236, 160, 176))[int(rng.integers(3))]
            easel.ellipse(float(fx), float(fy), 0.006, 0.005, tone)


def sports_hall(easel: Easel, rng: np.random.Generator, scene: Scene) -> None:
    horizon = float(rng.uniform(0.73, 0.78))
    bottom = 1 + MARGIN
    easel.ramp(-MARGIN, horizon, shade(scene.wall, 1.15), shade(scene.wall, 0.98))
    cloths = PALETTES[scene.split].cloths
    pad = blend(cloths[int(rng.integers(len(cloths)))], scene.wall, 0.35)
    for index in range(7):
        x = -MARGIN + index * 0.175
        easel.box(x, -MARGIN, x + 0.166, 0.13, (208, 226, 238))
        easel.box(x + 0.08, -MARGIN, x + 0.086, 0.13, (240, 240, 238))
    easel.box(-MARGIN, 0.13, 1 + MARGIN, 0.15, shade(scene.wall, 0.82))
    easel.grain(rng, 0.15, horizon, (5, 5), 0.03)
    easel.box(-MARGIN, horizon - 0.2, 1 + MARGIN, horizon, pad)
    for index in range(8):
        x = -MARGIN + index * 0.16
        easel.line([(x, horizon - 0.2), (x, horizon)], shade(pad, 0.84), 0.006)
    easel.box(-MARGIN, horizon - 0.208, 1 + MARGIN, horizon - 0.196, shade(pad, 1.3))
    bars = 0.02 if rng.random() < 0.5 else 0.78
    wood = blend(scene.floor, (236, 206, 160), 0.4)
    for index in range(9):
        y = 0.22 + index * 0.058
        easel.line([(bars, y), (bars + 0.2, y)], shade(wood, 0.86), 0.013)
    for x in (bars - 0.005, bars + 0.2):
        easel.line([(x, 0.19), (x, horizon)], wood, 0.02)
    x = 0.9 - bars
    easel.box(x - 0.09, 0.19, x + 0.09, 0.33, (244, 244, 242))
    easel.line([(x - 0.04, 0.31), (x - 0.04, 0.245), (x + 0.04, 0.245), (x + 0.04, 0.31)], pad, 0.009)
    easel.ellipse(x, 0.335, 0.045, 0.012, (222, 98, 50))
    easel.ellipse(x, 0.333, 0.036, 0.007, (240, 238, 230))
    for index in range(5):
        easel.line([(x - 0.04 + 0.02 * index, 0.34), (x - 0.024 + 0.012 * index, 0.395)], (250, 250, 248), 0.004)
    _floor(easel, rng, scene, horizon, 22)
    a, b = easel.row(horizon), easel.side
    mirror: np.ndarray = easel.rgb[max(0, 2 * a - b) : a][::-1][: b - a].astype(np.float32)
    mirror = cv2.GaussianBlur(mirror, (0, 0), 0.02 * easel.scale)
    fade = np.linspace(0.34, 0.05, len(mirror))[:, None, None]
    strip = easel.rgb[a : a + len(mirror)]
    easel.rgb[a : a + len(mirror)] = (strip * (1 - fade) + mirror * fade).astype(np.uint8)
    tape = cloths[int(rng.integers(len(cloths)))]
    y = horizon + 0.09
    easel.line([(-MARGIN, y), (1 + MARGIN, y)], (246, 246, 242), 0.010)
    easel.line(
        [(0.5 + rng.uniform(-0.3, 0.3), horizon), (float(rng.choice([-0.2, 1.2])), bottom)], shade(tape, 0.95), 0.012
    )
    easel.box(-MARGIN, horizon - 0.004, 1 + MARGIN, horizon + 0.004, shade(scene.floor, 0.55))


def town_square(easel: Easel, rng: np.random.Generator, scene: Scene) -> None:
    horizon = float(rng.uniform(0.70, 0.75))
    bottom = 1 + MARGIN
    easel.ramp(-MARGIN, horizon, (150, 196, 232), (222, 234, 240))
    cloths = PALETTES[scene.split].cloths
    x = -MARGIN - float(rng.uniform(0, 0.1))
    while x < 1 + MARGIN:
        width, top = float(rng.uniform(0.3, 0.42)), float(rng.uniform(-0.05, 0.1))
        plaster = blend(blend(cloths[int(rng.integers(len(cloths)))], scene.wall, 0.68), (240, 228, 208), 0.25)
        easel.box(x, top, x + width, horizon, plaster)
        if rng.random() < 0.4:
            for row in range(30):
                y = top + 0.03 + row * 0.026
                if y < horizon:
                    easel.line([(x, y), (x + width, y)], shade(plaster, 0.93), 0.003)
        easel.polygon(
            [(x - 0.012, top + 0.012), (x + width + 0.012, top + 0.012), (x + width, top - 0.03), (x, top - 0.03)],
            shade(plaster, 0.72),
        )
        columns = 3 if width > 0.36 else 2
        glass, shutter = (124, 152, 172), blend(cloths[int(rng.integers(len(cloths)))], plaster, 0.5)
        for row in range(2):
            for column in range(columns):
                cx, cy = x + width * (column + 0.5) / columns, top + 0.13 + 0.2 * row
                easel.box(cx - 0.036, cy - 0.058, cx + 0.036, cy + 0.058, (244, 240, 230))
                easel.box(cx - 0.028, cy - 0.05, cx + 0.028, cy + 0.05, glass)
                easel.polygon(
                    [(cx - 0.028, cy - 0.05), (cx + 0.01, cy - 0.05), (cx - 0.028, cy + 0.02)], shade(glass, 1.3)
                )
                for side in (-1, 1):
                    sx = cx + side * 0.048
                    easel.box(sx - 0.012, cy - 0.058, sx + 0.012, cy + 0.058, shutter)
        door = x + width * float(rng.choice([0.28, 0.72]))
        easel.box(door - 0.05, horizon - 0.19, door + 0.05, horizon, (238, 232, 220))
        easel.box(door - 0.04, horizon - 0.18, door + 0.04, horizon, shade(shutter, 0.75))
        other = 2 * x + width - door
        easel.box(other - 0.08, horizon - 0.16, other + 0.08, horizon - 0.04, shade(glass, 0.9))
        for index in range(8):
            stripe = (246, 242, 234) if index % 2 else shutter
            ax = other - 0.09 + index * 0.0225
            easel.polygon(
                [
                    (ax, horizon - 0.2),
                    (ax + 0.0225, horizon - 0.2),
                    (ax + 0.0225, horizon - 0.15),
                    (ax, horizon - 0.15),
                ],
                stripe,
            )
        x += width + 0.004
    easel.grain(rng, -MARGIN, horizon, (40, 40), 0.025)
    stone = blend(scene.floor, (196, 190, 182), 0.72)
    easel.ramp(horizon, bottom, shade(stone, 0.92), shade(stone, 1.15))
    easel.grain(rng, horizon, bottom, (8, 8), 0.06)
    easel.rays(horizon, bottom, 16, (0.5, horizon - 0.35), shade(stone, 0.86), 0.003)
    for index in range(8):
        y = horizon + (bottom - horizon) * (index / 8) ** 1.6
        easel.line([(-MARGIN, y), (1 + MARGIN, y)], shade(stone, 0.86), 0.003)
    easel.box(-MARGIN, horizon - 0.004, 1 + MARGIN, horizon + 0.006, shade(stone, 0.66))
    for side in (-1, 1):
        _plant(
            easel,
            rng,
            0.5 + side * float(rng.uniform(0.40, 0.48)),
            horizon + 0.05,
            0.2,
            scene.green,
            blend(scene.floor, (120, 80, 60), 0.3),
        )


PAINTERS: dict[Place, Callable[[Easel, np.random.Generator, Scene], None]] = {
    "living room": living_room,
    "park": park,
    "sports hall": sports_hall,
    "town square": town_square,
}


def paint(scene: Scene, size: int, furniture: Callable[[Easel], None]) -> np.ndarray:
    """[S, S, 3] uint8 over [-MARGIN, 1 + MARGIN] with S = round(size * (1 + 2 MARGIN)), at the frame's own scale."""
    fine = 2 if size < 80 else 1
    easel = Easel(size * fine)
    rng = np.random.default_rng(scene.backdrop_seed)
    PAINTERS[scene.place](easel, rng, scene)
    focus: np.ndarray = cv2.GaussianBlur(easel.rgb, (0, 0), 0.0045 * easel.scale)
    pale = cv2.addWeighted(focus, 0.86, np.full_like(focus, 232), 0.14, 0)
    easel.rgb = pale
    furniture(easel)
    side = round(size * (1 + 2 * MARGIN))
    return easel.rgb if side == easel.side else cv2.resize(easel.rgb, (side, side), interpolation=cv2.INTER_AREA)
