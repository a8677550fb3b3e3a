"""Curves over time: attention on joints (the paper's Fig. 6), the ledger of a logit, what removal does to a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from training.skeleton import SkeletonLayout
from xai.evidence import Evidence
from xai.explanation import Explanation
from xai.figures.reads import layer_of, of_heads, one_query, over_uniform, uniform_on
from xai.figures.sentence import token_name
from xai.figures.sheet import LABEL, Area, Drawn, Entry, Table
from xai.figures.strip import AMOUNTS, said, strongest
from xai.figures.style import DASHES, SMALL, Theme, number, text_width

FOOT = 0.27
"""Inches below a chart: tick labels and the name of the axis."""
TICKS = 0.36
"""Inches left of a chart for the numbers, beside the name of the axis."""
ROW = 0.098
"""Inches of a row of a map of joints."""
TELLING = 1.25
"""A joint is named if it gets so many times the uniform mass somewhere."""


def seconds(axes: Axes, time: np.ndarray) -> None:
    """The x axis of a chart over frames."""
    step = (time[-1] - time[0]) / max(1, len(time) - 1) or 1.0
    axes.set_xlim(time[0] - 0.5 * step, time[-1] + 0.5 * step)
    axes.set_xlabel("time (s)")
    axes.locator_params(axis="x", nbins=6)


def person_of(score: np.ndarray, person: int | None) -> int:
    """Index of a person counted from 1; whoever is seen most by default. `score` [T, M, J]."""
    if person is not None and not 1 <= person <= score.shape[1]:
        raise ValueError(f"person is {person}, and the clip shows {score.shape[1]}.")
    return int((score > 0).sum(axis=(0, 2)).argmax()) if person is None else person - 1


def joint_styles(layout: SkeletonLayout, named: Sequence[int], theme: Theme) -> dict[int, tuple[str, Any]]:
    """(colour of its limb, dashes) of every joint: named ones are told apart by their dashes too."""
    order = [*named, *(joint for joint in range(len(layout)) if joint not in named)]
    return {
        joint: (theme.limbs[layout.limb_of[joint] % len(theme.limbs)], DASHES[place % len(DASHES)])
        for place, joint in enumerate(order)
    }


def joint_lines(
    area: Area,
    top: float,
    height: float,
    values: np.ndarray,
    base: np.ndarray | None,
    seen: np.ndarray,
    layout: SkeletonLayout,
    time: np.ndarray,
    unit: str,
    named: Sequence[int],
    limits: tuple[float, float] | None = None,
    base_name: str = "uniform",
    names: Sequence[str] | None = None,
) -> float:
    """One curve a joint, [T, J], gaps where it was not seen; the named ones thick, with a key (`names`, else those of
    the joints); key and chart take `height`. The axis holds `limits` (of the values by default) and the base rate
    [T, J]. Height with the axis."""
    theme = area.look.theme
    styles = joint_styles(layout, named, theme)
    entries = []
    for joint in named:
        colour, dashes = styles[joint]
        entries.append(Entry((names or layout.joints)[joint], colour, style=dashes, width=1.5))
    if len(named) < len(layout):
        entries.append(Entry("other joints", theme.soft, width=0.5))
    if base is not None:
        entries.append(Entry(base_name, theme.ink, style=":", width=0.9))
    down = area.key(top, entries) + 0.05
    axes = area.axes(TICKS + 0.1, top + down, area.width - TICKS - 0.14, height - down)
    for joint in [j for j in range(len(layout)) if j not in named] + list(named)[::-1]:
        colour, dashes = styles[joint]
        line = np.where(seen[:, joint], values[:, joint], np.nan)
        strong = joint in named
        axes.plot(time, line, color=colour, lw=1.5 if strong else 0.5, ls=dashes if strong else "-",
                  alpha=1 if strong else 0.45, marker="o" if len(time) == 1 else None, ms=2)  # fmt: skip
    low, high = limits or (min(0.0, float(np.nanmin(values))), float(np.nanmax(values)))
    if base is not None:
        level = np.where(seen, base, np.nan)
        some = seen.any(axis=1)
        middle = np.full(len(time), np.nan)
        middle[some] = np.nanmean(level[some], axis=1)
        axes.plot(time, middle, ls=":", color=theme.ink, lw=0.9)
        low, high = min(low, float(np.nanmin(middle))), max(high, float(np.nanmax(middle)))
    axes.set_ylim(low - (0.06 * (high - low) if low < 0 else 0), high + 0.08 * (high - low or 1))
    if low < 0:
        axes.axhline(0, color=theme.soft, lw=0.5)
    axes.set_ylabel(unit)
    axes.locator_params(axis="y", nbins=5)
    seconds(axes, time)
    return height + FOOT


def joint_bars(
    area: Area, top: float, values: np.ndarray, base: float | None, layout: SkeletonLayout, unit: str
) -> float:
    """One bar a joint [J] (NaN: never seen), joints in the order of the body, beside the base rate. Height."""
    order, theme = list(layout.window_order), area.look.theme
    names = [layout.joints[j] + ("" if np.isfinite(values[j]) else " (not seen)") for j in order]
    colours = [theme.limbs[layout.limb_of[joint] % len(theme.limbs)] for joint in order]
    return named_bars(area, top, names, np.nan_to_num(values[order]), base, unit, colours)


def limb_bars(
    area: Area, top: float, values: np.ndarray, base: float | None, layout: SkeletonLayout, unit: str
) -> float:
    """One bar a body part; of `values` [J] (NaN: never seen) all joints of a part have the same. Height."""
    names, shown = [], []
    for name, joints in layout.limbs:
        seen = values[list(joints)][np.isfinite(values[list(joints)])]
        names.append(name if seen.size else f"{name} (not seen)")
        shown.append(seen[0] if seen.size else 0.0)
    colours = [area.look.theme.limbs[limb % len(area.look.theme.limbs)] for limb in range(len(names))]
    return named_bars(area, top, names, np.array(shown), base, unit, colours)


def named_bars(
    area: Area, top: float, names: Sequence[str], values: np.ndarray, base: float | None, unit: str,
    colours: Sequence[str] | None = None,
) -> float:  # fmt: skip
    """One lying bar a name, `colours` of the names, beside the base rate. Height."""
    theme = area.look.theme
    down = 0.0 if base is None else area.key(top, [Entry("base rate", theme.ink, style=":", width=0.9)]) + 0.04
    label = max(text_width(name, SMALL) for name in names) + 0.07
    axes = area.axes(label, top + down, min(4.0, area.width - label - 0.1), ROW * len(names))
    axes.barh(range(len(names)), values, 0.7, lw=0,
              color=[theme.for_ if value >= 0 else theme.against for value in values])  # fmt: skip
    axes.axvline(0, color=theme.ink, lw=0.6)
    if base is not None:
        axes.axvline(base, color=theme.ink, lw=0.9, ls=":")
    axes.set_yticks(range(len(names)), names, size=SMALL - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    for tick, colour in zip(axes.get_yticklabels(), colours or [], strict=False):
        tick.set_color(colour)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(unit)
    axes.locator_params(axis="x", nbins=6)
    return down + ROW * len(names) + FOOT


def joint_heat(
    area: Area, top: float, ratio: np.ndarray, layout: SkeletonLayout, time: np.ndarray, divide: float, unit: str
) -> float:
    """Mass over uniform [T, J] (NaN: not seen) as a map, in the colours of the film strip; joints in the order of the
    body. The scale names its values divided by `divide`, as `unit`. Height."""
    theme = area.look.theme
    height = ROW * len(layout)
    label = max(text_width(name, SMALL) for name in layout.joints) + 0.07
    axes = area.axes(label, top, area.width - label - 0.05, height)
    order = list(layout.window_order)
    high = max(1e-12, float(np.nan_to_num(ratio).max()))
    norm = Normalize(0, high)
    step = (time[-1] - time[0]) / max(1, len(time) - 1) or 1.0
    extent = (time[0] - step / 2, time[-1] + step / 2, len(order) - 0.5, -0.5)
    axes.set_facecolor(theme.unseen)
    axes.imshow(ratio[:, order].T, aspect="auto", cmap=AMOUNTS, norm=norm, interpolation="nearest", extent=extent)
    axes.set_yticks(range(len(order)), [layout.joints[joint] for joint in order], size=SMALL - 0.5)
    axes.tick_params(axis="y", length=0)
    for tick, joint in zip(axes.get_yticklabels(), order, strict=True):
        tick.set_color(theme.limbs[layout.limb_of[joint] % len(theme.limbs)])
    seconds(axes, time)
    y = top + height + FOOT + 0.03
    words = unit + ("; grey: not seen" if np.isnan(ratio).any() else "")
    wide = min(1.5, area.width - label - 0.1)
    ends = [(0.0, "0"), (high, number(high / divide))]
    return height + FOOT + 0.03 + area.colour_bar(label, y, wide, words, AMOUNTS, norm, ends, 1.0)


def joints(
    area: Area,
    evidence: Evidence,
    layer: int | None = None,
    query: str | None = None,
    person: int | None = None,
    named: int = 4,
    head: int | None = None,
) -> Drawn:
    """The paper's Fig. 6: one curve a joint over the frames with the uniform level, and mass over uniform as a map."""
    curves, clip, look = evidence.joint_curves, evidence.clip, area.look
    if curves is None or not clip.score.any():
        why = "No joint was seen in this clip." if curves is not None else "This network has no joint attention."
        top = area.heading(f"{said(evidence)}: attention on joints.")
        return Drawn(top + area.part(0, top, area.width).sentence(why), why)
    index, who = layer_of(curves, layer), person_of(clip.score, person)
    values, base, reader = one_query(curves, query, head)
    mass, uniform = values[index][:, who], base[index][:, who]
    seen = clip.score[:, who] > 0
    ratio = over_uniform(mass, uniform, seen)
    most = max(float(np.nan_to_num(ratio).max()), 1e-12)
    people = f", person {who + 1} of {clip.people}" if (clip.score.max(axis=(0, 2)) > 0).sum() > 1 else ""
    top = area.heading(f"{said(evidence)}: attention on joints, block {index + 1}, {reader}{people}.")
    divide, unit = look.scaled("× uniform", most)
    parts = _halves(area, top)
    lines = joint_lines(
        parts[0], 0, max(1.3, ROW * len(clip.layout)), ratio / divide, np.full(seen.shape, 1 / divide), seen,
        clip.layout, clip.time, unit, telling(ratio, named),
    )  # fmt: skip
    below = 0.06 + lines if len(parts) == 1 else 0.0
    heat = joint_heat(parts[-1], below, ratio, clip.layout, clip.time, divide, unit)
    axes_of = {"frame": range(len(clip)), "joint": clip.layout.joints}
    mean = f", {of_heads(None)}" if head is None else ""
    table = Table("joints", axes_of, {"attention mass": mass, "uniform": uniform, "score": clip.score[:, who]})
    caption = (
        f"Attention mass that joint stride attention (block {index + 1}, {reader}{mean}) gives each joint over time"
        f"{people}, divided by that of {curves.base_rate_of} ({look.scale}; dotted: uniform, no more than chance); the "
        f"map shows the same of every joint ({uniform_on(most)}). Thick: the joints with the most; hue: limb."
    )
    return Drawn(top + (below + heat if len(parts) == 1 else max(lines, heat)), caption, (table,))


def telling(ratio: np.ndarray, count: int) -> list[int]:
    """The joints of most mass over uniform [T, J] (NaN: not seen) that rise above it somewhere; at least one."""
    known = np.nan_to_num(ratio)
    mean = known.sum(0) / np.maximum(np.isfinite(ratio).sum(0), 1)
    found = [joint for joint in strongest(mean, count) if known[:, joint].max() >= TELLING]
    return found or list(strongest(mean, 1))


def _halves(area: Area, top: float) -> tuple[Area, ...]:
    """Two parts side by side where there is room, else one."""
    if area.width < 4.5:
        return (area.part(0, top, area.width),)
    half = (area.width - 0.2) / 2
    return area.part(0, top, half), area.part(half + 0.2, top, half)


def token_bars(
    area: Area,
    top: float,
    height: float,
    parts: np.ndarray,
    tokens: Sequence[str],
    time: np.ndarray,
    unit: str,
    limits: tuple[float, float] | None = None,
) -> float:
    """Stacked bars [token, T] over time; what is negative hangs down. Height."""
    theme = area.look.theme
    colour = {name: theme.tokens.get(name, theme.limbs[i % 5]) for i, name in enumerate(tokens)}
    down = area.key(top, [Entry(token_name(name), colour[name], "patch") for name in tokens]) + 0.05
    axes = area.axes(TICKS + 0.1, top + down, area.width - TICKS - 0.14, height)
    step = (time[-1] - time[0]) / max(1, len(time) - 1) or 1.0
    for sign in (1, -1):
        bottom = np.zeros(len(time))
        for slot, name in enumerate(tokens):
            value = np.where(np.sign(parts[slot]) == sign, parts[slot], 0)
            axes.bar(time, value, 0.8 * step, bottom=bottom, color=colour[name], lw=0)
            bottom += value
    axes.axhline(0, color=theme.ink, lw=0.6)
    axes.set_ylabel(unit)
    axes.locator_params(axis="y", nbins=5)
    if limits is not None:
        axes.set_ylim(limits)
    seconds(axes, time)
    return down + height + FOOT


def bar_limits(parts: np.ndarray) -> tuple[float, float]:
    """Ends of the stacked bars of [..., token, T], with a little room."""
    high = float(np.where(parts > 0, parts, 0).sum(-2).max())
    low = float(np.where(parts < 0, parts, 0).sum(-2).min())
    room = 0.06 * (high - low or 1.0)
    return low - room * (low < 0), high + room


def class_of(labels: Sequence[str], label: str | None, default: int) -> int:
    if label is not None and label not in labels:
        raise ValueError(f"The network has no class {label!r}; it knows {', '.join(labels)}.")
    return default if label is None else list(labels).index(label)


def ledger(area: Area, evidence: Evidence, label: str | None = None) -> Drawn:
    """The exact split of one logit over frames and tokens. Always raw: the bars must add up."""
    target = class_of(evidence.labels, label, evidence.top)
    parts, bias = evidence.ledger.values[target], float(evidence.ledger.companions["bias"][target])
    tokens = evidence.ledger.axes[1].labels
    name, total = evidence.labels[target], float(parts.sum())
    top = area.heading(
        f"Logit of {name} {total + bias:.2f} = bars {total:.2f} + bias {bias:.2f}".replace("-", "−") + "."
    )
    height = token_bars(area, top, 1.05, parts, tokens, evidence.clip.time, "part of the logit")
    even = float(np.ravel(np.broadcast_to(evidence.ledger.base_rate, evidence.ledger.values.shape)[target])[0])
    caption = (
        f"The exact parts of the logit of {name}: the head is linear in what it pools, so the bars and the bias sum to "
        f"it (raw; {evidence.ledger.base_rate_of} would give each part {number(even)})."
    )
    table = Table("ledger", {"token": tokens, "frame": range(len(evidence.clip))}, {"part of the logit": parts})
    return Drawn(top + height, caption, (table,))


def trust(area: Area, explanation: Explanation) -> Drawn:
    """Deletion and insertion curves of a map, of motion energy and of random orders, and the verdict in words."""
    found: Mapping[str, Any] | None = explanation.trust
    name = explanation.made_by.method
    on = explanation.made_by.parameters.get("on")
    if not found or "faithfulness" not in found:
        raise ValueError(f"How far the map of {name} can be trusted was not measured.")
    curve = {key: np.asarray(value) for key, value in found["faithfulness"].items() if isinstance(value, list)}
    units, theme = found["faithfulness"]["units"], area.look.theme
    top = area.heading(
        f"{name[0].upper()}{name[1:]}{f' on {on}' if on else ''}: what taking away {units} does to the score."
    )
    entries = [
        Entry("strongest of the map first", theme.main, width=1.5),
        Entry("most motion first", theme.other, style=DASHES[1]),
        Entry("random orders, mean and 95 %", theme.soft, "band"),
    ]  # fmt: skip
    y = top + area.key(top, entries) + 0.04
    every = [curve[key] for key in curve if (key != "share" and "deletion" in key) or "insertion" in key]
    low, high = min(float(c.min()) for c in every), max(float(c.max()) for c in every)
    room = 0.05 * (high - low or 1.0)
    gap = 0.14
    width, height = (area.width - TICKS - 0.14 - gap) / 2, 0.95
    for index, (kind, words) in enumerate((("deletion", f"share of {units} taken away"), ("insertion", "given back"))):
        axes = area.axes(TICKS + 0.1 + index * (width + gap), y + LABEL, width, height)
        area.words(y, kind, left=TICKS + 0.1 + index * (width + gap), size=SMALL, weight="bold")
        share = curve["share"]
        axes.fill_between(
            share, curve[f"random_{kind}_low"], curve[f"random_{kind}_high"], color=theme.soft, alpha=0.3, lw=0
        )
        axes.plot(share, curve[f"random_{kind}"], color=theme.soft, lw=0.8)
        axes.plot(share, curve[f"motion_{kind}"], color=theme.other, lw=1.0, ls=DASHES[1])
        axes.plot(share, curve[kind], color=theme.main, lw=1.5)
        axes.set_xlim(0, 1)
        axes.set_ylim(low - room, high + room)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.locator_params(axis="y", nbins=5)
        wide = text_width(words, SMALL) > width
        axes.set_xlabel("share taken away" if wide else words)
        if index == 0:
            axes.set_ylabel("score (logit)")
        else:
            axes.set_yticklabels([])
    y += LABEL + height + FOOT + 0.02
    verdict = str(found.get("verdict", "")).replace("-", "−")
    y += area.words(y, verdict, size=SMALL, color=theme.soft)
    gain = found["faithfulness"]
    caption = (
        f"Score (logit, raw) while {units} are taken away from the strongest of the map of {name} to the weakest "
        f"(deletion) and given back in that order (insertion), beside orders drawn at random and the order of motion "
        f"energy. Gain {gain['gain']:.2f}, over random {gain['over_random']:.2f} "
        f"[{gain['interval'][0]:.2f}, {gain['interval'][1]:.2f}], motion energy {gain['motion_gain']:.2f}. {verdict}"
    )
    values = {key: np.asarray(value) for key, value in curve.items() if len(value) == len(curve["share"])}
    share = values.pop("share")
    return Drawn(y, caption, (Table("trust", {"share": share}, values),))
