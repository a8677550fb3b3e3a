"""The clip as a block of space and time on paper: frames as cards along the time axis, sampling points between them.

A cabinet projection, so that every length along an axis can be read off: x goes back to the right, t to the right, y
down. Frames and places go through the same affine map, which `project` states.
"""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.transforms import Affine2D

from xai.evidence import Evidence
from xai.figures.reads import heaviest, peak, shown_frame
from xai.figures.sheet import LABEL, Area, Drawn
from xai.figures.strip import point_area, points_table, said, spread, time_norm, usual_count
from xai.figures.style import SMALL, number, percent, text_width

BACK = (0.42, -0.2)
"""Where one unit of x goes: to the right and up."""


def project(place: np.ndarray, step: float) -> np.ndarray:
    """Places (t, x, y) [..., 3] -> [..., 2] on paper, in pixels of the clip; `step`: pixels from frame to frame."""
    t, x, y = np.moveaxis(np.asarray(place, float), -1, 0)
    return np.stack([t * step + BACK[0] * x, y + BACK[1] * x], axis=-1)


def block(
    area: Area,
    evidence: Evidence,
    layer: int | None = None,
    query: str | None = None,
    points: int = 48,
    frames: int | None = None,
    head: int | None = None,
    frame: int | None = None,
) -> Drawn:
    """Frames as translucent cards, skeletons on them, and the `points` sampling points of most mass between them. The
    frames are those of a film strip of this width (`frame` as there)."""
    clip, theme = evidence.clip, area.look.theme
    chosen, mass, both, uniform, who = heaviest(evidence, layer, query, points, head)
    share = mass[chosen].sum() / mass.sum()
    top = area.heading(
        f"{said(evidence)}: {len(chosen)} of {len(mass)} sampling points in space and time, {percent(share)} of "
        f"their mass ({who})."
    )
    height, width = clip.size
    left = 0.3
    # The block is `area.width` wide: its frames stand as far apart as that allows.
    tall_px = height - BACK[1] * width
    tall = min(2.3, 0.42 * area.width)
    scale = tall / tall_px  # inches of a pixel
    wide_px = (area.width - left - 0.05) / scale
    step = (wide_px - BACK[0] * width) / max(1, len(clip) - 1)
    across, angle = f"x, {width} px", np.arctan2(-BACK[1], BACK[0])
    rises = 0.5 * text_width(across, SMALL) * np.sin(angle) + LABEL * np.cos(angle) + 0.04  # above its middle
    top += max(0.0, rises + 0.5 * BACK[1] * width * scale - 0.04)
    axes = area.axes(left, top, area.width - left - 0.05, tall)
    axes.set_xlim(0, wide_px)
    axes.set_ylim(height - 0.5, BACK[1] * width - 0.5)
    axes.set_axis_off()
    anchor = shown_frame(frame, len(clip), peak(evidence, layer, query, head))
    apart = (text_width("0.00", SMALL) + 0.04) / scale  # pixels from the start of one time to that of the next
    most = 1 + int(step * (len(clip) - 1) / apart)
    cards = spread(len(clip), frames or min(usual_count(area.width), most), anchor)
    rim = np.array([[0, 0], [width, 0], [width, height], [0, height], [0, 0]]) - 0.5
    for order, t in enumerate(cards):
        skew = Affine2D(np.array([[BACK[0], 0, t * step], [BACK[1], 1, 0], [0, 0, 1]])) + axes.transData
        axes.imshow(
            clip.frames[t], extent=(-0.5, width - 0.5, height - 0.5, -0.5), transform=skew, alpha=0.75, zorder=order,
            aspect="auto", interpolation="bilinear",
        )  # fmt: skip
        edge = project(np.column_stack([np.full(5, t), rim]), step)
        axes.plot(*edge.T, color=theme.soft, lw=0.5, zorder=order + 0.1)
        for person in range(clip.people):
            seen = clip.score[t, person] > 0
            at = project(np.column_stack([np.full(len(seen), t), clip.joints[t, person]]), step)
            bones = [(at[a], at[b]) for a, b in clip.layout.bones if seen[a] and seen[b]]
            axes.add_collection(LineCollection(bones, colors=theme.ink, linewidths=0.7, alpha=0.7, zorder=order + 0.2))
    timed: list[int] = []
    for t in sorted(cards, key=lambda t: t != anchor):  # times have no room under cards that stand close together
        if all(abs(t - other) * step >= apart for other in timed):
            timed.append(t)
            axes.text(
                t * step, height + 0.02 * tall_px, f"{clip.time[t]:.2f}", size=SMALL, va="top", ha="left",
                color=theme.ink, clip_on=False,
            )  # fmt: skip
    axes.set_xlim(0, wide_px)
    axes.set_ylim(height - 0.5, BACK[1] * width - 0.5)
    place, reference = project(both[0, chosen], step), project(both[1, chosen], step)
    axes.add_collection(
        LineCollection(
            list(np.stack([reference, place], axis=1)), colors=theme.ink, linewidths=0.5, alpha=0.6, zorder=50
        )
    )
    norm, ends = time_norm(both)
    shift = both[0, chosen, 0] - both[1, chosen, 0]
    size = point_area(mass[chosen], float(mass.max()))
    axes.scatter(
        place[:, 0], place[:, 1], s=size, c=shift, cmap=theme.moved, norm=norm, edgecolors=theme.edge,
        linewidths=0.35, zorder=51, clip_on=False,
    )  # fmt: skip
    y = top + tall + 0.06 + LABEL
    area.words(y, "time (s)", left=left, size=SMALL)
    side = {"size": SMALL, "rotation_mode": "anchor"}
    middle = area.top + top + tall - 0.5 * height * scale
    area.sheet.text(area.left + left - 0.06, middle, f"y, {height} px", rotation=90, va="bottom", ha="center", **side)
    along, up = area.left + left + 0.5 * BACK[0] * width * scale, area.top + top - 0.5 * BACK[1] * width * scale - 0.04
    area.sheet.text(along, up, across, rotation=np.degrees(angle), va="bottom", ha="center", **side)
    y += LABEL + 0.08
    y += area.colour_bar(
        left, y, min(1.8, area.width - left - 0.1), "frames from its reference", theme.moved, norm, ends
    )
    mean = ", mean of heads" if head is None else ""
    caption = (
        "The clip as a block of space and time (cabinet projection); cards are frames that the network read, with "
        f"their skeletons. Dot: where a token was read, area its attention mass (largest {number(float(mass.max()))}, "
        f"uniform {number(uniform)}, raw), hair to its reference, colour frames between the two ({who}{mean})."
    )
    return Drawn(y, caption, (points_table(chosen, mass, both),))
