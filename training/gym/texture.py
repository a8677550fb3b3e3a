"""Pictures that are wrapped around solids or held up as sprites: cloth, heads, hair, balls, cups, phones, signs.

Everything is painted in float32, 0 to 255, RGB; a fourth channel, where there is one, is opacity from 0 to 1.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.gym.palette import Colour, blend, shade
from training.gym.scene import Outfit

HEAD_ROWS, HEAD_COLUMNS = 128, 256
SPRITE = 144
FOLDS = 0.07
SHIFT = 4


def noise(rng: np.random.Generator, rows: int, columns: int, coarse: tuple[int, int]) -> np.ndarray:
    """Smooth noise [rows, columns] in [-1, 1] from a random grid of size `coarse`."""
    grid = rng.uniform(-1, 1, coarse).astype(np.float32)
    return cv2.resize(grid, (columns, rows), interpolation=cv2.INTER_CUBIC)


def _pattern(outfit: Outfit, around: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Weight of the second colour at `around` and `along` the cloth, both in body heights."""
    match outfit.pattern:
        case "stripes":
            return (np.sin(2 * np.pi * along / 0.064) > 0.1).astype(np.float32) + 0 * around
        case "pinstripes":
            return 0.75 * (np.sin(2 * np.pi * around / 0.06) > 0.35) + 0 * along
        case "checks":
            across, down = np.sin(2 * np.pi * around / 0.09) > 0, np.sin(2 * np.pi * along / 0.09) > 0
            return 0.45 * across + 0.45 * down
        case "dots":
            row = np.floor(along / 0.05)
            x = (around / 0.05 + 0.5 * (row % 2)) % 1.0 - 0.5
            y = (along / 0.05) % 1.0 - 0.5
            return (x * x + y * y < 0.075).astype(np.float32)
        case "band":
            return ((along > 0.075) & (along < 0.14)).astype(np.float32) + 0 * around
        case "logo":
            return (((around / 0.055) ** 2 + ((along - 0.105) / 0.05) ** 2) < 1).astype(np.float32)
        case _:
            return np.zeros(np.broadcast(around, along).shape, np.float32)


def _cloth(base: np.ndarray, rng: np.random.Generator, strength: float = FOLDS) -> np.ndarray:
    folds = noise(rng, base.shape[0], base.shape[1], (5, 7)) + 0.5 * noise(rng, base.shape[0], base.shape[1], (12, 9))
    return np.clip(base * (1 + strength * folds[..., None]), 0, 255).astype(np.float32)


def _colours(first: Colour, second: Colour, weight: np.ndarray) -> np.ndarray:
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return a + (b - a) * np.asarray(weight, np.float32)[..., None]


def torso(outfit: Outfit, side: int) -> np.ndarray:
    """[side, side, 3]: from the collar down to the crotch; the middle column is the front."""
    rng = np.random.default_rng(outfit.cloth_seed)
    down = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    around = (np.arange(side, dtype=np.float32)[None] + 0.5) / side - 0.5
    cloth = _colours(outfit.shirt, outfit.second, _pattern(outfit, around * 0.5, down * 0.3))
    cloth[side * 80 // 100 : side * 83 // 100] *= 0.86
    cloth = _cloth(cloth, rng)
    cloth[side * 83 // 100 :] = np.asarray(outfit.trousers, np.float32)
    collar = (np.abs(around) / 0.125) ** 2 + (down / 0.10) ** 2
    cloth[collar < 1.5] = np.asarray(shade(outfit.shirt, 0.8), np.float32)
    cloth[collar < 1.0] = np.asarray(shade(outfit.skin, 0.96), np.float32)
    return cloth


def sleeve(outfit: Outfit, side: int, first: float, last: float) -> np.ndarray:
    """[side, side, 3] of the arm between `first` and `last` (0 shoulder, 1 elbow, 2 wrist)."""
    rng = np.random.default_rng([outfit.cloth_seed, int(first * 10)])
    along = np.linspace(first, last, side, dtype=np.float32)[:, None]
    around = (np.arange(side, dtype=np.float32)[None] / side - 0.5) * 0.2
    weight = (
        _pattern(outfit, around, along * 0.15) if outfit.pattern not in ("band", "logo") else 0.0 * (along + around)
    )
    cloth = _cloth(_colours(outfit.shirt, outfit.second, weight), rng)
    hem = np.broadcast_to(np.abs(along - outfit.sleeve) < 0.06, cloth.shape[:2])
    cloth[hem] *= 0.82
    cloth[np.broadcast_to(along > outfit.sleeve, cloth.shape[:2])] = np.asarray(outfit.skin, np.float32)
    return cloth


def trouser(outfit: Outfit, side: int, first: float, last: float) -> np.ndarray:
    """[side, side, 3] of the leg between `first` and `last` (0 hip, 1 knee, 2 ankle)."""
    rng = np.random.default_rng([outfit.cloth_seed, 100 + int(first * 10)])
    along = np.linspace(first, last, side, dtype=np.float32)[:, None]
    plain = np.zeros((side, side), np.float32)
    cloth = _cloth(_colours(outfit.trousers, outfit.trousers, plain), rng, 1.2 * FOLDS)
    knee = 1.0 + 0.07 * np.exp(-(((along - 1.0) / 0.12) ** 2))
    cloth = cloth * knee[..., None]
    cloth[np.broadcast_to(np.abs(along - outfit.legging) < 0.05, plain.shape)] *= 0.8
    skin = np.broadcast_to(along > outfit.legging, plain.shape)
    cloth[skin] = np.asarray(outfit.skin, np.float32)
    sock = np.broadcast_to((along > 1.84) & (along > outfit.legging), plain.shape)
    cloth[sock] = (232, 232, 230)
    return cloth


def plain(colour: Colour) -> np.ndarray:
    """A texture of one colour."""
    return np.full((2, 2, 3), colour, np.float32)


def _ellipse(image: np.ndarray, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0) -> None:
    one = 1 << SHIFT
    centre, axes = (round(x * one), round(y * one)), (round(rx * one), round(ry * one))
    cv2.ellipse(image, centre, axes, turn, 0, 360, colour, -1, cv2.LINE_AA, SHIFT)


def face(outfit: Outfit, texels: float) -> np.ndarray:
    """[rows, columns, 4]: the bare head. `texels`: how many texels of a full-size picture fall on a pixel."""
    skin, rows, columns = outfit.skin, HEAD_ROWS, HEAD_COLUMNS
    image: np.ndarray = np.full((rows, columns, 3), skin, np.uint8)

    def at(longitude: float, height: float) -> tuple[float, float]:
        return (longitude / (2 * np.pi) + 0.5) * columns, (0.5 - 0.5 * height) * rows

    for side in (-1, 1):
        x, y = at(0.62 * side, -0.28)
        _ellipse(image, x, y, 11, 10, blend(skin, (226, 112, 96), 0.28))
    image = cv2.blur(cv2.blur(image, (9, 9)), (9, 9))
    jaw = blend(skin, outfit.hair, 0.8)
    if outfit.beard:
        longitude = (np.arange(columns) / columns - 0.5) * 2 * np.pi
        height = 1 - 2 * (np.arange(rows) + 0.5) / rows
        cheek = -0.32 + 0.33 * np.clip((np.abs(longitude) - 0.35) / 0.9, 0, 1)
        grown = (height[:, None] < cheek[None]) & (np.abs(longitude) < 1.6)[None] & (height[:, None] > -0.97)
        image[grown] = jaw
        image = cv2.GaussianBlur(image, (0, 0), 1.2)
    dark = shade(outfit.hair, 0.75)
    for side in (-1, 1):
        x, y = at(0.40 * side, 0.08)
        _ellipse(image, x, y, 8.2, 6.2, (250, 248, 245))
        _ellipse(image, x, y, 5.2, 6.0, (46, 34, 30))
        _ellipse(image, x + 1.4, y - 2.0, 1.3, 1.3, (255, 255, 255))
        x, y = at(0.42 * side, 0.27)
        _ellipse(image, x, y, 9.0, 2.0, dark, turn=6.0 * side)
    x, y = at(0.0, -0.18)
    _ellipse(image, x, y, 4.8, 4.0, shade(skin, 0.84))
    _ellipse(image, x, y - 3.0, 2.6, 8.0, shade(skin, 1.15))
    x, y = at(0.0, -0.50)
    lips, one = blend(skin, (150, 40, 48), 0.72), 1 << SHIFT
    smile = (round(x * one), round((y - 6.0) * one))
    cv2.ellipse(image, smile, (11 * one, 7 * one), 0, 22, 158, lips, 3, cv2.LINE_AA, SHIFT)
    if texels > 2:  # two texels a pixel are enough, and averaging keeps thin features from flickering
        small = (max(8, round(2 * columns / texels)), max(6, round(2 * rows / texels)))
        image = cv2.blur(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (2, 2))
    return np.concatenate([image.astype(np.float32), np.ones((*image.shape[:2], 1), np.float32)], axis=2)


_HAIRLINES = {
    "short": ((0.0, 0.7, 1.0, 1.3, 1.7, 3.15), (0.50, 0.54, 0.34, -0.02, -0.45, -0.5)),
    "curly": ((0.0, 0.7, 1.0, 1.3, 1.7, 3.15), (0.46, 0.46, 0.2, -0.2, -0.6, -0.6)),
    "bun": ((0.0, 0.7, 1.0, 1.3, 1.7, 3.15), (0.52, 0.5, 0.3, 0.05, -0.4, -0.45)),
    "long": ((0.0, 0.5, 0.85, 1.1, 1.4, 3.15), (0.54, 0.42, 0.1, -0.7, -1.0, -1.0)),
    "bald": ((0.0, 1.15, 1.35, 1.6, 1.9, 3.15), (1.1, 1.1, 0.12, 0.1, 0.1, 0.1)),
}


def hair(outfit: Outfit, rows: int) -> np.ndarray:
    """[rows, 2 rows, 4]: hair on a shell around the head, transparent where the face is."""
    rng = np.random.default_rng([outfit.cloth_seed, 7])
    columns = 2 * rows
    longitude = (np.arange(columns) / columns - 0.5) * 2 * np.pi
    height = 1 - 2 * (np.arange(rows) + 0.5) / rows
    line = np.interp(np.abs(longitude), *_HAIRLINES[outfit.hair_style])
    parting = 0.12 * np.exp(-(((longitude - 0.35) / 0.3) ** 2)) if outfit.hair_style in ("short", "long") else 0.0
    line = line + parting + 0.05 * noise(rng, 1, columns, (1, 40))[0]
    opacity = np.clip((height[:, None] - line[None]) / 0.07, 0, 1)
    if outfit.hair_style == "bald":
        opacity *= np.clip((height[:, None] + 0.5) / 0.1, 0, 1) * (height[:, None] < 0.22)
    strands = (
        noise(rng, rows, columns, (3, 56)) if outfit.hair_style != "curly" else noise(rng, rows, columns, (14, 28))
    )
    sheen = 0.22 * np.exp(-(((height - 0.62) / 0.13) ** 2))[:, None]
    colour = np.asarray(outfit.hair, np.float32) * (1 + 0.2 * strands + sheen)[..., None]
    return np.concatenate([np.clip(colour, 0, 255), opacity[..., None]], axis=2).astype(np.float32)


def cap(colour: Colour) -> np.ndarray:
    """[HEAD_ROWS, HEAD_COLUMNS, 4]: the dome of a cap with a darker band."""
    height = 1 - 2 * (np.arange(HEAD_ROWS) + 0.5) / HEAD_ROWS
    longitude = (np.arange(HEAD_COLUMNS) / HEAD_COLUMNS - 0.5) * 2 * np.pi
    opacity = np.clip((height - 0.22) / 0.05, 0, 1)[:, None] * np.ones((1, HEAD_COLUMNS))
    panel = 1.0 - 0.14 * (np.abs(np.sin(2 * longitude)) < 0.12)
    picture = np.asarray(colour, np.float32) * panel[None, :, None] * np.where(height < 0.36, 0.72, 1.0)[:, None, None]
    return np.concatenate([picture, opacity[..., None]], axis=2).astype(np.float32)


def ball(colours: tuple[Colour, Colour]) -> np.ndarray:
    """[HEAD_ROWS, HEAD_COLUMNS, 4]: a beach ball."""
    sector = (np.arange(HEAD_COLUMNS) * 6 // HEAD_COLUMNS) % 2
    picture = np.where(sector[None, :, None] == 0, np.asarray(colours[0]), np.asarray((244, 242, 236)))
    picture = np.broadcast_to(picture, (HEAD_ROWS, HEAD_COLUMNS, 3)).astype(np.float32).copy()
    picture[: HEAD_ROWS // 12] = picture[-HEAD_ROWS // 12 :] = colours[1]
    return np.concatenate([picture, np.ones((HEAD_ROWS, HEAD_COLUMNS, 1), np.float32)], axis=2)


class Sprite:
    """A picture under construction: polygons and ellipses in units of its height, with their opacity."""

    def __init__(self, aspect: float) -> None:
        self.rows, self.columns = SPRITE, round(SPRITE * aspect)
        self.rgb = np.zeros((self.rows, self.columns, 3), np.uint8)
        self.opacity = np.zeros((self.rows, self.columns), np.uint8)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> Sprite:
        corners = np.round(np.asarray(points) * SPRITE * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(self.rgb, [corners], colour, cv2.LINE_AA, SHIFT)
        cv2.fillPoly(self.opacity, [corners], 255, cv2.LINE_AA, SHIFT)
        return self

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> Sprite:
        _ellipse(self.rgb, x * SPRITE, y * SPRITE, rx * SPRITE, ry * SPRITE, colour)
        one = 1 << SHIFT
        centre, axes = (
            (round(x * SPRITE * one), round(y * SPRITE * one)),
            (round(rx * SPRITE * one), round(ry * SPRITE * one)),
        )
        cv2.ellipse(self.opacity, centre, axes, 0, 0, 360, 255, -1, cv2.LINE_AA, SHIFT)
        return self

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, corner: float = 0.0) -> Sprite:
        if corner <= 0:
            return self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)
        turn = np.linspace(0, np.pi / 2, 6)
        points = []
        for cx, cy, first in ((x1, y1, 0), (x0, y1, 1), (x0, y0, 2), (x1, y0, 3)):
            mx, my = (cx - corner if cx == x1 else cx + corner), (cy - corner if cy == y1 else cy + corner)
            angles = turn + first * np.pi / 2
            points += [(mx + corner * float(np.cos(a)), my + corner * float(np.sin(a))) for a in angles]
        return self.polygon(points, colour)

    def picture(self, round_shading: float = 0.0) -> np.ndarray:
        """[h, w, 4] float32; `round_shading` darkens the right side, as of a cylinder lit from the left."""
        tone = 1.0 + round_shading * (0.55 - np.linspace(0, 1, self.columns, dtype=np.float32))
        rgb = np.clip(self.rgb.astype(np.float32) * tone[None, :, None], 0, 255)
        # Grow the colours outward under the anti-aliased rim, or it would fade to black.
        solid = (self.opacity > 250).astype(np.uint8)
        grown = cv2.dilate(rgb * solid[..., None], np.ones((5, 5), np.uint8))
        rgb = np.where(solid[..., None] > 0, rgb, grown)
        return np.concatenate([rgb, (self.opacity / 255.0)[..., None]], axis=2).astype(np.float32)


def cup(colours: tuple[Colour, Colour]) -> np.ndarray:
    """A mug with a handle, about as high as it is wide."""
    sprite = Sprite(1.15)
    sprite.ellipse(0.84, 0.52, 0.27, 0.26, shade(colours[0], 0.86))
    hole = Sprite(1.15)
    hole.ellipse(0.84, 0.52, 0.14, 0.13, (0, 0, 0))
    sprite.opacity[hole.opacity > 127] = 0
    sprite.ellipse(0.42, 0.86, 0.36, 0.11, colours[0]).polygon(
        [(0.04, 0.14), (0.8, 0.14), (0.78, 0.87), (0.06, 0.87)], colours[0]
    )
    sprite.polygon([(0.045, 0.40), (0.795, 0.40), (0.79, 0.62), (0.05, 0.62)], (248, 246, 240))
    sprite.ellipse(0.42, 0.14, 0.38, 0.115, (250, 248, 244)).ellipse(0.42, 0.15, 0.31, 0.08, (92, 58, 40))
    return sprite.picture(0.35)


def phone(colours: tuple[Colour, Colour]) -> np.ndarray:
    """A phone held upright: a dark slab with a lit screen."""
    sprite = Sprite(0.56)
    sprite.box(0.01, 0.01, 0.55, 0.99, shade(colours[0], 0.75), 0.08).box(
        0.035, 0.035, 0.525, 0.965, (24, 26, 32), 0.07
    )
    sprite.box(0.06, 0.09, 0.5, 0.90, (150, 206, 246), 0.02).box(0.06, 0.62, 0.5, 0.90, (232, 244, 252), 0.02)
    sprite.box(0.10, 0.15, 0.32, 0.2, (248, 252, 255)).box(0.10, 0.24, 0.42, 0.28, (248, 252, 255))
    for x in (0.14, 0.28, 0.42):
        sprite.ellipse(x, 0.74, 0.045, 0.045, colours[1])
    return sprite.picture()


def parcel(colours: tuple[Colour, Colour], shape: int) -> np.ndarray:
    """The thing that is picked up or handed over: a present, a ball, a book or a plant in a pot."""
    first, second = colours
    if shape == 0:
        sprite = Sprite(1.1).box(0.08, 0.22, 1.02, 0.98, first).box(0.04, 0.2, 1.06, 0.4, shade(first, 1.15))
        sprite.box(0.47, 0.2, 0.63, 0.98, second).ellipse(0.42, 0.12, 0.14, 0.09, second).ellipse(
            0.68, 0.12, 0.14, 0.09, second
        )
        return sprite.picture(0.2)
    if shape == 1:
        sprite = Sprite(1.0).ellipse(0.5, 0.5, 0.49, 0.49, first).ellipse(0.5, 0.5, 0.2, 0.49, (246, 244, 238))
        return sprite.ellipse(0.34, 0.28, 0.1, 0.08, shade(first, 1.6)).picture(0.45)
    if shape == 2:
        sprite = Sprite(0.95).box(0.06, 0.04, 0.9, 0.97, first, 0.03).box(0.06, 0.04, 0.18, 0.97, shade(first, 0.7))
        sprite.box(0.3, 0.16, 0.8, 0.34, (248, 244, 232)).box(0.3, 0.44, 0.8, 0.5, second).box(
            0.2, 0.93, 0.9, 0.97, (244, 240, 228)
        )
        return sprite.picture(0.15)
    sprite = Sprite(0.9)
    for x, y, r in ((0.25, 0.35, 0.2), (0.62, 0.32, 0.22), (0.45, 0.2, 0.2), (0.45, 0.4, 0.2)):
        sprite.ellipse(x, y, r, r * 0.9, (84, 148 + int(60 * (0.4 - y)), 76))
    sprite.polygon([(0.12, 0.52), (0.78, 0.52), (0.68, 0.98), (0.22, 0.98)], first).box(
        0.08, 0.5, 0.82, 0.62, shade(first, 1.15)
    )
    return sprite.picture(0.35)


def sign(colours: tuple[Colour, Colour], shape: int) -> np.ndarray:
    """A coloured sign on a pole; the picture stands on the ground."""
    first, second = colours
    white: Colour = (250, 248, 242)
    sprite = Sprite(0.36).ellipse(0.18, 0.975, 0.1, 0.022, (84, 86, 92)).box(0.165, 0.2, 0.195, 0.975, (148, 152, 160))
    x, y, r = 0.18, 0.18, 0.172
    corners = (64, 4, 8, 3)[shape]
    turn = 2 * np.pi * (np.arange(corners) + (0.5 if shape == 2 else 0.0)) / corners - np.pi / 2
    for radius, colour in ((r, white), (r * 0.86, first)):
        sprite.polygon([(x + radius * float(np.cos(a)), y + radius * float(np.sin(a))) for a in turn], colour)
    sprite.ellipse(x, y, r * 0.36, r * 0.36, white).ellipse(x, y, r * 0.22, r * 0.22, second)
    return sprite.picture(0.1)


def board(colours: tuple[Colour, Colour]) -> np.ndarray:
    """A board on two cords, hung from the top edge of the picture."""
    sprite = Sprite(0.8).box(0.14, 0.0, 0.16, 0.6, (90, 86, 84)).box(0.64, 0.0, 0.66, 0.6, (90, 86, 84))
    sprite.box(0.03, 0.56, 0.77, 0.98, shade(colours[0], 0.8), 0.05).box(0.06, 0.59, 0.74, 0.95, colours[0], 0.04)
    return sprite.box(0.14, 0.68, 0.66, 0.74, (250, 246, 236)).box(0.14, 0.80, 0.5, 0.86, (250, 246, 236)).picture(0.1)
