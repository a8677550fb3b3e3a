"""What the splits do not share: builds, skins, cloths, walls and balls. Colours are RGB, 0 to 255.

Train, validation and test own disjoint lists, so that a model cannot recognise a test clip by a shirt or a wall it
has seen in training. Each split's skins run from light to dark and its builds from slight to stout: the splits
differ in values, not in range.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Build:
    """Lengths of one body in body heights."""

    shoulder: float
    """From the spine to a shoulder joint."""
    girth: float
    """Thickness of trunk and limbs, 1 is average."""
    head: float
    """Size of the head, 1 is average."""
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    trunk: float
    """From the pelvis to the base of the neck."""


def build_from(broad: float, girth: float, legs: float, arms: float, head: float) -> Build:
    """A body from five ratios, each 1 for the average body."""
    return Build(
        shoulder=0.112 * broad,
        girth=girth,
        head=head,
        upper_arm=0.155 * arms,
        forearm=0.14 * arms,
        thigh=0.2285 * legs,
        shin=0.2285 * legs,
        trunk=0.285,
    )


@dataclass(frozen=True)
class Palette:
    """The colours and bodies of one split."""

    skins: tuple[Colour, ...]
    hairs: tuple[Colour, ...]
    cloths: tuple[Colour, ...]
    """Shirts, dresses, signs' supports."""
    trousers: tuple[Colour, ...]
    accents: tuple[Colour, ...]
    """Saturated: cups, phone cases, parcels, signs, caps, balls."""
    walls: tuple[Colour, ...]
    floors: tuple[Colour, ...]
    greens: tuple[Colour, ...]
    builds: tuple[tuple[float, float, float, float, float], ...]


def _wheel(hues: tuple[float, ...], saturation: tuple[float, ...], value: tuple[float, ...]) -> tuple[Colour, ...]:
    """RGB colours for hues in turns, with saturation and value taken in rotation."""
    colours = []
    for index, hue in enumerate(hues):
        # Green of a given HSV value glares beside the other hues: take it back a little.
        calm = 1.0 - 0.2 * math.exp(-(((hue % 1.0 - 0.32) / 0.12) ** 2))
        rgb = colorsys.hsv_to_rgb(
            hue % 1.0, saturation[index % len(saturation)] * calm, value[index % len(value)] * calm
        )
        colours.append((round(rgb[0] * 255), round(rgb[1] * 255), round(rgb[2] * 255)))
    return tuple(colours)


def _hues(first: float, count: int) -> tuple[float, ...]:
    return tuple(first + index / count for index in range(count))


PALETTES: dict[Split, Palette] = {
    "train": Palette(
        skins=((250, 220, 200), (240, 200, 172), (222, 176, 142), (188, 136, 100), (146, 98, 68), (98, 64, 46)),
        hairs=((44, 34, 30), (86, 56, 36), (150, 100, 52), (208, 172, 110), (120, 52, 34), (158, 156, 156)),
        cloths=(*_wheel(_hues(0.00, 11), (0.56, 0.40, 0.66), (0.84, 0.70, 0.90)), (236, 234, 228), (66, 72, 84)),
        trousers=((52, 66, 98), (74, 74, 80), (134, 112, 84), (44, 46, 54), (92, 108, 92)),
        accents=_wheel(_hues(0.01, 8), (0.88, 0.8), (0.95, 0.88)),
        walls=((226, 214, 194), (196, 210, 214), (214, 198, 188), (202, 212, 190), (216, 206, 220)),
        floors=((176, 132, 92), (146, 106, 76), (190, 156, 118)),
        greens=((112, 156, 72), (132, 162, 84), (96, 146, 84)),
        builds=(
            (1.0, 1.0, 1.0, 1.0, 1.0), (1.1, 1.12, 0.985, 1.02, 0.97), (0.92, 0.88, 1.01, 0.98, 1.02),
            (1.04, 0.94, 1.015, 1.04, 0.96), (0.96, 1.18, 0.98, 0.97, 1.06), (0.9, 1.0, 0.99, 0.96, 1.1),
        ),
    ),
    "val": Palette(
        skins=((245, 210, 188), (206, 156, 120), (120, 80, 56)),
        hairs=((60, 44, 34), (178, 128, 72), (100, 96, 98)),
        cloths=(*_wheel(_hues(0.03, 5), (0.50, 0.62), (0.76, 0.88)), (222, 216, 204)),
        trousers=((62, 80, 116), (84, 70, 62), (58, 58, 66)),
        accents=_wheel(_hues(0.055, 5), (0.84, 0.78), (0.9, 0.97)),
        walls=((220, 206, 180), (188, 204, 200), (206, 202, 214)),
        floors=((164, 120, 82), (182, 146, 104)),
        greens=((120, 150, 66), (104, 152, 92)),
        builds=((1.05, 1.05, 0.99, 1.0, 0.99), (0.94, 0.94, 1.0, 0.99, 1.05), (0.98, 1.1, 0.99, 1.03, 1.0)),
    ),
    "test": Palette(
        skins=((252, 226, 208), (232, 188, 158), (168, 116, 84), (112, 72, 50)),
        hairs=((34, 28, 28), (116, 76, 44), (194, 150, 90), (138, 66, 40)),
        cloths=(*_wheel(_hues(0.065, 7), (0.52, 0.64, 0.44), (0.8, 0.9, 0.74)), (228, 228, 234), (78, 70, 74)),
        trousers=((46, 58, 86), (98, 98, 102), (112, 92, 70)),
        accents=_wheel(_hues(0.09, 5), (0.9, 0.8), (0.93, 0.86)),
        walls=((230, 220, 204), (204, 216, 222), (208, 190, 178), (196, 204, 182)),
        floors=((156, 114, 84), (198, 164, 124)),
        greens=((124, 164, 80), (88, 138, 76)),
        builds=(
            (1.07, 1.0, 1.0, 1.01, 0.98), (0.95, 1.06, 0.985, 1.0, 1.04), (1.0, 0.9, 1.01, 1.0, 1.0),
            (0.91, 0.95, 0.99, 0.98, 1.08),
        ),
    ),
}  # fmt: skip


def shade(colour: Colour, factor: float) -> Colour:
    """`colour` made darker (factor below 1) or lighter (above 1: mixed towards white)."""
    if factor <= 1:
        return int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor)
    return blend(colour, (255, 255, 255), min(factor - 1.0, 1.0))


def blend(a: Colour, b: Colour, weight: float) -> Colour:
    """`a` at weight 0, `b` at weight 1."""
    keep = 1 - weight
    return int(a[0] * keep + b[0] * weight), int(a[1] * keep + b[1] * weight), int(a[2] * keep + b[2] * weight)
