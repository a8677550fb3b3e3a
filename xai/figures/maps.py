"""Any method's map over the film strip: pixels as an overlay, joints on the skeleton and as curves, frames as bars."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize, TwoSlopeNorm

from training.clip import Clip
from xai.explanation import Explanation
from xai.figures.curves import (
    FOOT,
    TICKS,
    joint_bars,
    joint_lines,
    limb_bars,
    named_bars,
    person_of,
    seconds,
    token_bars,
)
from xai.figures.sheet import LABEL, Area, Drawn, Entry, Table
from xai.figures.strip import AMOUNTS, draw_skeleton, overlay, picture, strip, strongest
from xai.figures.style import SMALL, number, text_width


def heading_of(explanation: Explanation) -> str:
    """'Why wave left hand and not wave right hand? Integrated gradients on frames.'"""
    about = explanation.made_by.parameters
    asked = f"Why {about['target']}" if "target" in about else "Why this class"
    against = f" and not {about['against']}" if "against" in about else ""
    method = explanation.made_by.method
    return f"{asked}{against}? {method[0].upper()}{method[1:]}{f' on {on}' if (on := about.get('on')) else ''}."


def trust_in_words(explanation: Explanation) -> str:
    trust = explanation.trust
    return "Trust: not measured." if trust is None else f"Trust: {trust['level']}. {trust['verdict']}"


def map_panel(
    area: Area,
    explanation: Explanation,
    clip: Clip,
    signed: bool,
    frames: int | None = None,
    person: int | None = None,
    named: int = 4,
) -> Drawn:
    """The map of one method on `clip` (the frames that the network read)."""
    values, look = explanation.values.astype(float), area.look
    kind = explanation.kind
    most = float(np.abs(values).max())
    divide, unit = look.scaled(explanation.unit, most)
    base = np.broadcast_to(explanation.base_rate, values.shape)
    signed = signed or bool(values.min() < 0)
    norm = TwoSlopeNorm(0, -max(most, 1e-12), max(most, 1e-12)) if signed else Normalize(0, max(most, 1e-12))
    cmap = look.theme.sides if signed else AMOUNTS
    top = area.heading(heading_of(explanation))
    of_frames = np.abs(values).reshape(len(clip), -1).sum(axis=1)
    anchor = int(of_frames.argmax()) if np.ptp(of_frames) > 0 else None  # some methods say one thing of the whole clip
    grid = strip(area.part(0, top, area.width), clip, frames, anchor)
    for frame, axes in grid.axes.items():
        picture(axes, clip.frames[frame], grey=kind == "pixel map")
        if kind == "pixel map":
            overlay(axes, values[frame], explanation.companions["box"], most, signed, look)
        elif kind == "joint map":
            draw_skeleton(axes, clip, frame, values[frame], norm, cmap, grid.scale)
        else:
            draw_skeleton(axes, clip, frame, scale=grid.scale)
    y = top + grid.height + 0.08
    axes_of: dict[str, object] = {"frame": range(len(clip))}
    if kind in ("pixel map", "joint map"):
        text = number(most / divide)
        ends = (
            [(-most, f"−{text} against"), (0.0, "0"), (most, f"{text} for")] if signed else [(0.0, "0"), (most, text)]
        )
        mark = float(base.mean()) if base.any() else None
        against = "" if mark is None else f"; mark: {explanation.base_rate_of}"
        if mark is not None and not (-most if signed else 0) < mark < most:
            against = f"; {explanation.base_rate_of}: {number(mark / divide)}, beyond the scale"
        y += area.words(y, f"{unit}{against}", size=SMALL) - LABEL
        y += area.colour_bar(0, y, min(2.4, area.width - 0.05), "", cmap, norm, ends, mark) + 0.02
    if kind == "joint map":
        who = person_of(clip.score, person)
        seen = clip.score[:, who] > 0
        shown = np.where(seen, values[:, who] / divide, np.nan)
        some = seen.any(axis=0)
        y += 0.04
        if np.ptp(values, axis=0).max() == 0:  # the method takes a joint away for the whole clip
            one = float(base[0, who].mean()) / divide if base.any() else None
            one_each = np.where(some, values[0, who] / divide, np.nan)
            bars = limb_bars if explanation.by_limb else joint_bars
            y += bars(area, y, one_each, one, clip.layout, unit)
        else:
            level = base[:, who] / divide if base.any() else None
            strength = np.where(seen, np.abs(values[:, who]), 0).mean(0)
            names = clip.layout.joints
            if explanation.by_limb:  # all joints of a limb have its curve: one stands for it
                names = tuple(clip.layout.limbs[limb][0] for limb in clip.layout.limb_of)
                first = [joints[int(strength[list(joints)].argmax())] for _, joints in clip.layout.limbs]
                strength = np.where(np.isin(np.arange(len(strength)), first), strength, 0)
                named = min(named, len(first))
            chosen = strongest(strength, named)
            height = max(1.2, text_width(unit, SMALL) + 0.35)
            y += joint_lines(
                area,
                y,
                height,
                shown,
                level,
                seen,
                clip.layout,
                clip.time,
                unit,
                chosen,
                base_name="base rate",
                names=names,
            )
        axes_of |= {"person": range(1, clip.people + 1), "joint": clip.layout.joints}
    elif kind == "token map":
        tokens = explanation.axes[explanation.axis("token")].labels
        if np.ptp(values, axis=0).max() == 0:  # the method takes a token or a part away for the whole clip
            one = float(base.mean()) / divide if base.any() else None
            y += named_bars(area, y, tokens, values[0] / divide, one, unit)
        else:
            height = max(0.9, text_width(unit, SMALL) + 0.05)
            y += token_bars(area, y, height, values.T / divide, tokens, clip.time, unit)
        axes_of |= {"token": tokens}
    elif kind == "frame map":
        y += _frame_bars(area, y, values / divide, base / divide if base.any() else None, clip.time, unit)
    else:
        axes_of |= {"row": range(values.shape[1]), "column": range(values.shape[2])}
    caption = (
        f"{heading_of(explanation)} Values are {explanation.unit} ({look.scale}"
        f"{', divided by ' + number(divide) if divide != 1 else ''}); "
        f"{'positive values speak for the class; ' if signed else ''}base rate: {explanation.base_rate_of}"
        f"{f' ({number(float(base.mean()))} on average)' if base.any() else ' (0)'}. {trust_in_words(explanation)}"
    )
    if kind == "pixel map":
        caption += f" One cell is one value of the method's grid of {values.shape[1]} by {values.shape[2]}."
    table = Table(kind, axes_of, {explanation.unit: explanation.values, "base rate": base})  # type: ignore[arg-type]
    return Drawn(y, caption, (table,))


def _frame_bars(
    area: Area, top: float, values: np.ndarray, base: np.ndarray | None, time: np.ndarray, unit: str
) -> float:
    theme, height = area.look.theme, max(0.8, text_width(unit, SMALL) + 0.05)
    down = 0.0
    if base is not None:
        down = area.key(top, [Entry("base rate", theme.ink, style=":", width=0.9)]) + 0.04
    axes = area.axes(TICKS + 0.1, top + down, area.width - TICKS - 0.14, height)
    step = (time[-1] - time[0]) / max(1, len(time) - 1) or 1.0
    colours = [theme.for_ if value >= 0 else theme.against for value in values]
    axes.bar(time, values, 0.8 * step, color=colours, lw=0)
    axes.axhline(0, color=theme.ink, lw=0.6)
    if base is not None:
        axes.plot(time, base, ls=":", color=theme.ink, lw=0.9)
    axes.set_ylabel(unit)
    axes.locator_params(axis="y", nbins=4)
    seconds(axes, time)
    return down + height + FOOT
