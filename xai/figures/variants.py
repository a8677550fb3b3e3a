"""Token variants side by side: the same clip through several checkpoints, what each says and what it read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xai.evidence import Evidence
from xai.figures.curves import bar_limits, class_of, joint_lines, person_of, telling, token_bars
from xai.figures.reads import joints_read, over_uniform
from xai.figures.sheet import LABEL, Area, Drawn, Table
from xai.figures.strip import said, strongest
from xai.figures.style import SMALL, Look, text_width

TOKENS = {
    "none": "no modal token", "single": "one shared token", "cross": "cross-modal tokens (cls, rgb, pose)"
}  # fmt: skip


def variants(
    area: Area,
    evidences: Mapping[str, Evidence],
    layer: int | None = None,
    person: int | None = None,
    label: str | None = None,
    classes: int = 5,
) -> Drawn:
    """One column a checkpoint (one block where the figure is narrow): probabilities, ledger, joint curves."""
    look = area.look
    first = next(iter(evidences.values()))
    if len({(each.clip.fingerprint, each.labels) for each in evidences.values()}) > 1:
        raise ValueError("Variants are compared on the same frames and classes, and these checkpoints differ in them.")
    target = class_of(first.labels, label, first.top)
    name = first.labels[target]
    top = area.heading(f"The same clip through {len(evidences)} checkpoints: probability, logit of {name}, joints.")
    mean = np.mean([each.probabilities for each in evidences.values()], axis=0)
    shown = strongest(mean, classes)
    who = person_of(first.clip.score, person) if first.clip.people else 0
    joints = {key: _joints(each, layer, who) for key, each in evidences.items()}
    ledgers = {key: each.ledger.values[target] for key, each in evidences.items()}
    limits = [bar_limits(parts) for parts in ledgers.values()]
    shared = min(low for low, _ in limits), max(high for _, high in limits)
    most = max((_most(found) for found in joints.values() if found is not None), default=1.0)
    columns = len(evidences) if area.width >= 1.6 * len(evidences) else 1
    gap = 0.2
    width = (area.width - gap * (columns - 1)) / columns
    y, tallest, tables = top, 0.0, []
    for index, (key, evidence) in enumerate(evidences.items()):
        part = area.part(index % columns * (width + gap), y, width)
        own = 1.0 if (found := joints[key]) is None else _most(found)
        height = _variant(part, key, evidence, shown, name, ledgers[key], shared, found, most, own, look)
        tallest = max(tallest, height)
        if columns == 1 or index == len(evidences) - 1:
            y, tallest = y + tallest + (0.16 if index < len(evidences) - 1 else 0), 0.0
        tables += _tables(key, evidence, ledgers[key], joints[key])
    names = ", ".join(
        f"{key} ({TOKENS.get(e.model['token_mode'], e.model['token_mode'])})" for key, e in evidences.items()
    )
    caption = (
        f"The same frames read by {names}: probability of the classes, exact parts of the logit of {name} (raw, one "
        f"scale), and attention mass on joints over that of uniform attention, which is dotted ({look.scale}"
        f"{', one scale' if not look.per_clip else ', each its own'}; mean of heads and of the tokens that read)."
    )
    return Drawn(y, caption, tuple(tables))


Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Attention mass, uniform level, seen: [T, J] each."""


def _joints(evidence: Evidence, layer: int | None, who: int) -> Found | None:
    found = joints_read(evidence, layer, None, None)
    return None if found is None else (found[0][:, who], found[1][:, who], evidence.clip.score[:, who] > 0)


def _most(found: Found) -> float:
    """The largest mass over uniform."""
    return max(float(np.nan_to_num(over_uniform(*found)).max()), 1e-12)


def _variant(
    area: Area,
    key: str,
    evidence: Evidence,
    shown: Sequence[int],
    name: str,
    parts: np.ndarray,
    limits: tuple[float, float],
    found: Found | None,
    most: float,
    own: float,
    look: Look,
) -> float:
    theme = look.theme
    y = area.words(0, key, weight="bold")
    y += area.words(y, TOKENS.get(evidence.model["token_mode"], ""), size=SMALL, color=theme.soft) + 0.02
    y += area.words(y, f"says {said(evidence)}", size=SMALL) + 0.05
    row = 0.135
    label = min(0.5 * area.width, max(text_width(evidence.labels[c], SMALL) for c in shown) + 0.06)
    axes = area.axes(label, y, area.width - label - 0.3, row * len(shown))
    probability = evidence.probabilities[list(shown)]
    colours = [theme.main if evidence.labels[c] == name else theme.soft for c in shown]
    axes.barh(np.arange(len(shown)), probability, 0.7, color=colours, lw=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_yticks(np.arange(len(shown)), [evidence.labels[c] for c in shown], size=SMALL)
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for place, value in enumerate(probability):
        axes.text(value + 0.02, place, f"{value:.2f}", size=SMALL, va="center_baseline", color=theme.ink)
    y += row * len(shown) + 0.09
    y += area.words(y, f"logit of {name}", size=SMALL, color=theme.soft) + 0.02
    y += token_bars(area, y, 0.62, parts, evidence.ledger.axes[1].labels, evidence.clip.time, "logit", limits) + 0.06
    if found is None:
        return y + area.part(0, y, area.width).sentence("This network reads no joints.")
    y += area.words(y, "joints", size=SMALL, color=theme.soft) + 0.02
    mass, base, seen = found
    divide, unit = look.scaled("× uniform", own)
    ratio, level = over_uniform(mass, base, seen), np.full(seen.shape, 1 / divide)
    top = (most if not look.per_clip else own) / divide
    return y + joint_lines(
        area, y, 1.0, ratio / divide, level, seen, evidence.clip.layout, evidence.clip.time,
        unit, telling(ratio, 3), (0.0, top),
    ) + LABEL / 2  # fmt: skip


def _tables(key: str, evidence: Evidence, parts: np.ndarray, found: Found | None) -> list[Table]:
    tokens, index = evidence.ledger.axes[1].labels, range(len(evidence.clip))
    tables = [
        Table(f"{key} probabilities", {"class": evidence.labels}, {"probability": evidence.probabilities}),
        Table(f"{key} ledger", {"token": tokens, "frame": index}, {"part of the logit": parts}),
    ]
    if found is not None:
        mass, base, seen = found
        axes = {"frame": index, "joint": evidence.clip.layout.joints}
        tables.append(Table(f"{key} joints", axes, {"attention mass": mass, "uniform": base, "seen": seen}))
    return tables
