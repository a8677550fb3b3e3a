"""Film strip: frames with the skeleton, the sampling points (the paper's Fig. 5), or the map of any method on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize, TwoSlopeNorm
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke

from training.clip import Clip
from xai.evidence import Evidence
from xai.figures.hues import reach
from xai.figures.opening import points_beyond, square_said
from xai.figures.reads import heaviest, joints_read, of_heads, over_uniform, peak, shown_frame, uniform_on
from xai.figures.sentence import token_name
from xai.figures.sheet import LABEL, Area, Drawn, Table
from xai.figures.style import SMALL, Look, Theme, number, percent

AMOUNTS = colormaps["viridis"]
GAP = 0.05
_NARROW, _WIDE = 1.05, 2.2
"""Inches: a frame is at least and at most so wide."""


def casing(by: float = 1.0) -> list[AbstractPathEffect]:
    """Around bones, so that white is seen on any frame; the only effect that a figure has."""
    return [withStroke(linewidth=2.0 * by, foreground="#00000090")]


@dataclass(frozen=True)
class Strip:
    """Frames side by side."""

    axes: Mapping[int, Axes]
    """By index of the frame."""
    height: float
    scale: float
    """Size of marks: 1 in a frame of a page-wide strip."""


def _columns(width: float) -> int:
    return max(3, int((width + GAP) // (_NARROW + GAP)))


def usual_count(width: float) -> int:
    """How many frames stay legible on so many inches, in one row or two."""
    columns = _columns(width)
    return columns if columns >= 5 else 2 * columns


def spread(total: int, count: int, about: int | None) -> np.ndarray:
    """Indices of at most `count` of `total` frames.

    The frame `about` is among them and the others are spread evenly around it, the ends too unless one is nearer to it
    than half the usual distance. Every panel chooses by this, so panels of one clip show the same frames.
    """
    count = min(total, count)
    if about is None:
        places = np.linspace(0, total - 1, count)
    else:
        before = round(about * (count - 1) / max(1, total - 1))
        places = np.append(np.linspace(0, about, before + 1)[:-1], np.linspace(about, total - 1, count - before))
    return np.unique(places.round().astype(int))


def strip(area: Area, clip: Clip, count: int | None, about: int | None = None) -> Strip:
    """Frames in rows, each under its time: those that `spread` chooses."""
    chosen = spread(len(clip), count or usual_count(area.width), about)
    columns = min(_columns(area.width), len(chosen))
    rows = -(-len(chosen) // columns)
    columns = -(-len(chosen) // rows)
    height, side = clip.size
    width = min(_WIDE, (area.width - GAP * (columns - 1)) / columns)
    tall = width * height / side
    found = {}
    for index, frame in enumerate(chosen):
        left, top = index % columns * (width + GAP), index // columns * (tall + LABEL + GAP)
        area.words(top, f"{clip.time[frame]:.2f} s", left=left, width=width, size=SMALL, color=area.look.theme.soft)
        axes = area.axes(left, top + LABEL, width, tall)
        axes.set_xlim(-0.5, side - 0.5)
        axes.set_ylim(height - 0.5, -0.5)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        found[int(frame)] = axes
    return Strip(found, rows * (tall + LABEL) + (rows - 1) * GAP, width / _NARROW)


def picture(axes: Axes, frame: np.ndarray, grey: bool = False) -> None:
    """One frame; `grey` leaves the hues to what is drawn over it."""
    if grey:
        light = frame @ np.array([0.299, 0.587, 0.114])
        frame = np.repeat((0.25 * 255 + 0.72 * light)[..., None], 3, axis=-1).clip(0, 255).astype(np.uint8)
    height, width = frame.shape[:2]
    axes.imshow(frame, interpolation="lanczos", extent=(-0.5, width - 0.5, height - 0.5, -0.5), aspect="auto")


def darken(axes: Axes, evidence: Evidence) -> bool:
    """Shade what the network does not see of a frame; False if that is nothing."""
    height, width = evidence.clip.size
    (left, top), (right, bottom) = (np.asarray(evidence.box, float).min(0), np.asarray(evidence.box, float).max(0))
    left, right = np.clip((left, right), -0.5, width - 0.5)
    top, bottom = np.clip((top, bottom), -0.5, height - 0.5)
    parts = [
        (-0.5, -0.5, width, top + 0.5), (-0.5, bottom, width, height - 0.5 - bottom),
        (-0.5, top, left + 0.5, bottom - top), (right, top, width - 0.5 - right, bottom - top),
    ]  # fmt: skip
    dark = [part for part in parts if min(part[2:]) > 0.01]
    for x, y, wide, high in dark:
        axes.add_patch(Rectangle((x, y), wide, high, facecolor="black", edgecolor="none", alpha=0.55, zorder=0.5))
    return bool(dark)


def draw_skeleton(
    axes: Axes,
    clip: Clip,
    frame: int,
    values: np.ndarray | None = None,
    norm: Normalize | None = None,
    cmap: Colormap = AMOUNTS,
    scale: float = 1.0,
) -> None:
    """Bones, and a disc a joint whose colour and size are its value [M, J]; unseen joints are left out."""
    for person in range(clip.people):
        seen = clip.score[frame, person] > 0
        joints = clip.joints[frame, person]
        bones = [(joints[a], joints[b]) for a, b in clip.layout.bones if seen[a] and seen[b]]
        axes.add_collection(LineCollection(bones, colors="white", linewidths=0.9 * scale, path_effects=casing()))
        if not seen.any():
            continue
        if values is None or norm is None:
            axes.scatter(joints[seen, 0], joints[seen, 1], s=4 * scale**2, c="white", linewidths=0, zorder=3)
            continue
        value = values[person][seen]
        most = max(abs(float(norm.vmin or 0)), abs(float(norm.vmax or 1)), 1e-12)
        size = (3 + 17 * np.abs(value) / most) * scale**2
        order = np.argsort(np.abs(value))
        axes.scatter(
            joints[seen, 0][order], joints[seen, 1][order], s=size[order], c=value[order], cmap=cmap, norm=norm,
            edgecolors="white", linewidths=0.4 * scale, zorder=3,
        )  # fmt: skip


def point_area(mass: np.ndarray | float, most: float) -> np.ndarray:
    """Points squared of a dot."""
    return np.asarray(2 + 24 * np.asarray(mass) / max(most, 1e-12))


def draw_points(
    axes: Axes,
    place: np.ndarray,
    reference: np.ndarray,
    mass: np.ndarray,
    frame: int,
    norm: Normalize,
    theme: Theme,
    scale: float = 1.0,
) -> None:
    """The sampling points [P, 3] (t, x, y) that read this frame: a dot at the place, a hair to its reference, colour =
    frames away from it. A point between two frames is on both, as opaque as it reads them."""
    near = np.clip(1 - np.abs(place[:, 0] - frame), 0, 1)
    shown = np.flatnonzero(near > 0.02)
    if not len(shown):
        return
    shown = shown[np.argsort(-mass[shown])]
    hairs = np.stack([reference[shown, 1:], place[shown, 1:]], axis=1)
    axes.add_collection(LineCollection(list(hairs), colors="white", linewidths=0.5 * scale, alpha=0.55, zorder=4))
    axes.scatter(
        place[shown, 1],
        place[shown, 2],
        s=point_area(mass[shown], float(mass.max())) * scale**2,
        c=place[shown, 0] - reference[shown, 0],
        cmap=theme.moved,
        norm=norm,
        alpha=near[shown],
        edgecolors=theme.edge,
        linewidths=0.35 * scale,
        zorder=5,
    )


def time_norm(both: np.ndarray) -> tuple[TwoSlopeNorm, list[tuple[float, str]]]:
    """Scale and ticks for the frames between the places and references [2, P, 3] of all points of a block, so that its
    panels and the player share it."""
    end = reach(both[0, :, 0] - both[1, :, 0])
    return TwoSlopeNorm(0, -end, end), [(-end, f"−{end:g} earlier"), (0.0, "0"), (end, f"{end:g} later")]


# ---- panels ---------------------------------------------------------------------------------------------------------


def points_table(number_: np.ndarray, mass: np.ndarray, both: np.ndarray) -> Table:
    names = ("frame", "x", "y")
    places = {name: both[0, number_, i] for i, name in enumerate(names)}
    references = {f"reference {name}": both[1, number_, i] for i, name in enumerate(names)}
    return Table("sampling points", {"point": number_}, {"attention mass": mass[number_], **places, **references})


def film(
    area: Area,
    evidence: Evidence,
    frames: int | None = None,
    layer: int | None = None,
    query: str | None = None,
    points: int = 48,
    head: int | None = None,
    frame: int | None = None,
) -> Drawn:
    """The paper's Fig. 5: film strip with skeleton and the `points` sampling points of most mass; `frame`, counted from
    1, is among those shown (by default the one that was read most)."""
    clip, look = evidence.clip, area.look
    with_points = evidence.sampling_points is not None
    about: list[str] = []
    if with_points:
        chosen, mass, both, uniform, who = heaviest(evidence, layer, query, points, head)
        share = mass[chosen].sum() / mass.sum()
        hold = f"hold {percent(share)} of the mass on points ({who})"
        about.append(f"{len(chosen)} of {len(mass)} sampling points {hold}")
    else:
        about.append("this network has no 3D token search, so it has no sampling points")
    top = area.heading(f"{said(evidence)}: {about[0]}.")
    anchor = shown_frame(frame, len(clip), peak(evidence, layer, query, head))
    grid = strip(area.part(0, top, area.width), clip, frames, anchor)
    read = joints_read(evidence, layer, query, head)
    times: np.ndarray | None = None
    joint_norm: Normalize | None = None
    if read is not None:
        times = over_uniform(*read, clip.score > 0)
        most = max(float(np.nanmax(times)), 1e-12)
        divide, unit = look.scaled("× uniform", most)
        joint_norm = Normalize(0, most)
    if with_points:
        norm, ends = time_norm(both)
    dark = False
    for t, axes in grid.axes.items():
        picture(axes, clip.frames[t])
        dark = darken(axes, evidence)
        draw_skeleton(axes, clip, t, None if times is None else times[t], joint_norm, scale=grid.scale)
        if with_points:
            draw_points(axes, both[0, chosen], both[1, chosen], mass[chosen], t, norm, look.theme, grid.scale)
    y = top + grid.height + 0.07
    across = 3 if area.width >= 5 else 2 if area.width >= 2.8 else 1
    third = (area.width - 0.15 * (across - 1)) / across
    keys: list[Callable[[float, float], float]] = []
    if with_points:
        label = "point: frames from its reference"
        keys.append(lambda x, y: area.colour_bar(x, y, third, label, look.theme.moved, norm, ends))
        keys.append(lambda x, y: _dots(area, x, y, third, float(mass[chosen].max()), uniform, look))
    if joint_norm is not None:
        scale, top_text = joint_norm, [(0.0, "0"), (most, number(most / divide))]
        keys.append(lambda x, y: area.colour_bar(x, y, third, f"joint: {unit}", AMOUNTS, scale, top_text, 1.0))
    used = 0.0
    for index, key in enumerate(keys):
        x, row = index % across * (third + 0.15), index // across
        used = max(used, row * 0.4 + key(x, y + row * 0.4))
    tables = []
    caption = f"Frames that the network read, with its skeleton. {_sentence(about[0])}."
    if evidence.model.get("fit") == "person" and clip.score.any():
        caption += f" {square_said(evidence)}"
    elif dark:
        caption += " What is darkened it does not see."
    if with_points:
        beyond = points_beyond(both[0, chosen], clip.size)
        if beyond:
            caption += f" {beyond} of the points lie beyond the frame and are not drawn."
        tables.append(points_table(chosen, mass, both))
        caption += (
            " Dot: where a token was read; hair: to its reference (zero offset); colour: frames between the two; area: "
            f"attention mass, {of_heads(head)}, mean of query frames (uniform attention: {number(uniform)}); a point "
            "between two frames is on both."
        )
    if read is not None:
        axes_of = {"frame": range(len(clip)), "person": range(1, clip.people + 1), "joint": clip.layout.joints}
        values = {"attention mass": read[0], "uniform": read[1], "score": clip.score}
        tables.append(Table("joints", axes_of, values))
        caption += (
            " Disc: attention mass of the joint in joint stride attention over that of uniform attention "
            f"({look.scale}; {uniform_on(most)})."
        )
    elif not clip.score.any():
        caption += " No joint was seen in this clip."
    elif evidence.joint_curves is not None and query is not None:
        caption += f" {token_name(query)} takes no part in joint stride attention."
    return Drawn(y + used, caption, tuple(tables))


def _dots(area: Area, left: float, top: float, width: float, most: float, uniform: float, look: Look) -> float:
    """Key of the areas: the heaviest point and one of uniform mass."""
    divide, unit = look.scaled("mass", most)
    area.words(top, f"point: {unit}", left=left, width=10, size=SMALL)
    axes = area.bare(left, top + LABEL, width, LABEL + 0.06)
    for x, value, name in ((0.06, most, ""), (width * 0.45, uniform, " uniform")):
        axes.scatter([x], [0.08], s=point_area(value, most), c="#bdbdbd", edgecolors=look.theme.edge, linewidths=0.35)
        text = number(value / divide) + name
        axes.text(x + 0.07, 0.08, text, size=SMALL, va="center_baseline", color=look.theme.ink)
    return 2 * LABEL + 0.13


def said(evidence: Evidence) -> str:
    return f"{evidence.labels[evidence.top]} ({evidence.probabilities[evidence.top]:.2f})"


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def overlay(axes: Axes, values: np.ndarray, box: np.ndarray, most: float, signed: bool, look: Look) -> None:
    """Cells of a pixel map [rows, columns] over a frame, as opaque as they are strong; `box` are the grid's corners."""
    share = values / max(most, 1e-12)
    shade = look.theme.sides((share + 1) / 2) if signed else AMOUNTS(share)
    shade[..., 3] = 0.9 * np.clip(np.abs(share), 0, 1) ** 0.5
    left, top, right, bottom = box[0, 0], box[0, 1], box[2, 0], box[2, 1]
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(shade, interpolation="nearest", extent=(left, right, bottom, top), aspect="auto", zorder=2)
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])


def strongest(values: np.ndarray, count: int) -> Sequence[int]:
    """Indices of the `count` largest, the largest first; equal ones in their order."""
    return [int(i) for i in np.argsort(-values, kind="stable")[:count]]
