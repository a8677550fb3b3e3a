"""Break it on paper: the clip as it was shown without something, and the answer beside the untouched one."""

from __future__ import annotations

import numpy as np

from training.recognizer import Prediction
from xai.figures.curves import FOOT, class_of
from xai.figures.sheet import Area, Drawn, Entry, Table
from xai.figures.sources import Changed
from xai.figures.strip import draw_skeleton, picture, strip, strongest
from xai.figures.style import SMALL, text_width
from xai.removal_words import words_of

ROW, BESIDE = 0.2, 0.3
"""Inches of two bars, and between two charts."""


def without(
    area: Area, changed: Changed, label: str | None = None, frames: int | None = None, classes: int = 5
) -> Drawn:
    """What is left of the clip; probabilities and the sums of the ledger, hollow before and solid now."""
    before, now, shown = changed.before, changed.now, changed.shown
    words = "; ".join(words_of(changed.removals, changed.rerun)) or "nothing taken away"
    target = class_of(before.labels, label, int(before.logits.argmax()))
    name = before.labels[target]
    top = area.heading(f"{words[0].upper()}{words[1:]}: {_says(before)} before, {_says(now)} now.")
    grid = strip(area.part(0, top, area.width), shown.clip, frames)
    for frame, axes in grid.axes.items():
        picture(axes, shown.clip.frames[frame])
        draw_skeleton(axes, shown.clip, frame, scale=grid.scale)
    y = top + grid.height + 0.08
    theme = area.look.theme
    y += area.key(y, [Entry("before", theme.soft, "patch"), Entry("now", theme.main, "patch")]) + 0.04
    most = strongest(np.maximum(before.probabilities, now.probabilities), classes)
    names = [before.labels[index] for index in most]
    chances = np.stack([each.probabilities[list(most)] for each in (before, now)])
    parts = np.stack([_parts(each, target) for each in (before, now)])
    tokens = [*before.slots, "bias"]
    side = area.width >= 4.0
    width = (area.width - BESIDE) / 2 if side else area.width
    first = _pairs(area, 0, y, width, names, chances, "probability")
    left, below = (width + BESIDE, y) if side else (0.0, y + first + 0.06)
    second = _pairs(area, left, below, width, tokens, parts, f"logit of {name}, by token (raw)")
    caption = (
        f"What the network says with something taken away ({words}) and what it said before: the frames that it was "
        f"shown, probabilities of the likeliest classes, and the exact parts of the logit of {name} summed over frames "
        f"(raw; with the bias they add up to {_logit(before, target)} before and {_logit(now, target)} now)."
    )
    all_ = np.stack([before.probabilities, now.probabilities], axis=1)
    tables = (
        Table("answers", {"class": before.labels, "pass": ("before", "now")}, {"probability": all_}),
        Table("ledger", {"pass": ("before", "now"), "token": tokens}, {"part of the logit": parts}),
        Table("frames shown", {"frame": range(len(shown.index))}, {"frame of the clip": np.asarray(shown.index)}),
    )
    return Drawn(y + first if side and first > second else below + second, caption, tables)


def _says(prediction: Prediction) -> str:
    (label, probability), *_ = prediction.top(1)
    return f"{label} ({probability:.2f})"


def _parts(prediction: Prediction, target: int) -> np.ndarray:
    """[token and bias]: what each adds to a logit."""
    return np.append(prediction.ledger[target].sum(axis=-1), prediction.bias[target])


def _logit(prediction: Prediction, target: int) -> str:
    return f"{prediction.logits[target]:.2f}".replace("-", "−")


def _pairs(area: Area, left: float, top: float, width: float, names: list[str], values: np.ndarray, unit: str) -> float:
    """Two bars a name, [before and now, name]: grey and thin before, in colour now. Height."""
    theme = area.look.theme
    label = min(0.45 * width, max(text_width(name, SMALL) for name in names) + 0.07)
    axes = area.axes(left + label, top, width - label - 0.32, ROW * len(names))
    places = np.arange(len(names))
    axes.barh(places - 0.2, values[0], 0.34, color=theme.soft, lw=0)
    axes.barh(places + 0.2, values[1], 0.34, color=theme.main, lw=0)
    axes.axvline(0, color=theme.ink, lw=0.6)
    axes.set_yticks(places, names, size=SMALL)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if unit == "probability":
        low, high = 0.0, 1.0
    axes.set_xlim(low - 0.02 * (high - low) * (low < 0), high + 1e-9)
    for shift, row, colour in ((-0.2, values[0], theme.soft), (0.2, values[1], theme.ink)):
        for place, value in zip(places + shift, row, strict=True):
            axes.text(
                1.02, place, f"{value:.2f}".replace("-", "−"), transform=axes.get_yaxis_transform(), size=SMALL - 0.5,
                va="center_baseline", color=colour,
            )  # fmt: skip
    axes.set_xlabel(unit)
    axes.locator_params(axis="x", nbins=5)
    return ROW * len(names) + FOOT
