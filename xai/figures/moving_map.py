"""The map of any method as a film: what the strip shows side by side, one frame after the other on the same scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.colors import Normalize, TwoSlopeNorm

from training.clip import Clip
from xai.explanation import Explanation
from xai.figures.animation import DPI, WIDTH, playhead, raster, signature
from xai.figures.maps import heading_of, trust_in_words
from xai.figures.sheet import LABEL, MARGIN, Area, Sheet
from xai.figures.strip import AMOUNTS, draw_skeleton, overlay, picture
from xai.figures.style import SMALL, Look, drawing, number


def map_frames(
    explanation: Explanation,
    clip: Clip,
    signed: bool,
    *,
    name: str = "",
    note: str | None = None,
    look: Look | None = None,
    dpi: int = DPI,
) -> Iterator[np.ndarray]:
    """One picture [h, w, 3] uint8 for every frame of `clip` (those that the network read); all of one size.

    Args:
        name: of the network.
        note: what a reader must be told of it.
    """
    look = look or Look()
    theme, values, kind = look.theme, explanation.values.astype(float), explanation.kind
    most = max(float(np.abs(values).max()), 1e-12)
    signed = signed or bool(values.min() < 0)
    norm = TwoSlopeNorm(0, -most, most) if signed else Normalize(0, most)
    cmap = theme.sides if signed else AMOUNTS
    divide, unit = look.scaled(explanation.unit, most)
    text = number(most / divide)
    ends = [(-most, f"−{text} against"), (0.0, "0"), (most, f"{text} for")] if signed else [(0.0, "0"), (most, text)]
    height, side = clip.size
    inner = WIDTH - 2 * MARGIN
    for frame in range(len(clip)):
        with drawing():
            sheet = Sheet(WIDTH, look)
            area = Area(sheet, MARGIN, MARGIN, inner)
            y = area.words(0, heading_of(explanation)) + 0.04
            axes = area.axes(0, y, inner, inner * height / side)
            axes.set_axis_off()
            picture(axes, clip.frames[frame], grey=kind == "pixel map")
            if kind == "pixel map":
                overlay(axes, values[frame], explanation.companions["box"], most, signed, look)
            elif kind == "joint map":
                draw_skeleton(axes, clip, frame, values[frame], norm, cmap, 2.2)
            else:
                draw_skeleton(axes, clip, frame, scale=2.2)
            y += inner * height / side + 0.05
            y += playhead(area, y, clip, frame)
            if kind in ("pixel map", "joint map"):
                y += area.colour_bar(0, y, inner - 0.05, unit, cmap, norm, ends) + 0.04
            else:
                y += _bars(area, y, values.reshape(len(clip), -1).sum(axis=1) / divide, frame, unit)
            y += area.words(y, trust_in_words(explanation), size=SMALL, color=theme.soft)
            y += signature(area, y, name, explanation.made_by.checkpoint, note)
            pixels = raster(sheet, y, dpi)
        yield pixels


def _bars(area: Area, top: float, values: np.ndarray, now: int, unit: str) -> float:
    """What every frame adds, the one that is shown in colour."""
    theme, height = area.look.theme, 0.55
    top += area.words(top, unit, size=SMALL) + 0.02
    axes = area.axes(0.36, top, area.width - 0.4, height)
    colours = [theme.soft] * len(values)
    colours[now] = theme.for_ if values[now] >= 0 else theme.against
    axes.bar(range(1, len(values) + 1), values, 0.8, color=colours, lw=0)
    axes.axhline(0, color=theme.ink, lw=0.6)
    axes.set_xlim(0.4, len(values) + 0.6)
    axes.set_xticks([])
    axes.locator_params(axis="y", nbins=3)
    return LABEL + 0.02 + height + 0.05
