"""Sheet: a figure laid out in inches from its top left corner, so that nothing lies over anything else.

A panel draws into an `Area` from the top down and says how much it took; the sheet gets its height at the end. Text is
measured with the font that is embedded, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.text import Text

from xai.figures.style import LINE, SMALL, TEXT, Look, text_width, wrapped

LABEL = LINE * SMALL
"""Inches of a line of small text."""
MARGIN = 0.05
"""Inches around a sheet."""


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers behind a panel: values over named axes, each with the coordinates or names of its entries."""

    name: str
    axes: Mapping[str, Sequence[Any] | np.ndarray]
    values: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        shape = tuple(len(entries) for entries in self.axes.values())
        for name, values in self.values.items():
            if values.shape != shape:
                raise ValueError(f"{self.name}: {name} is {list(values.shape)}, and its axes are {list(shape)}.")


@dataclass(frozen=True)
class Drawn:
    """What a panel took, what a caption says of it, and the numbers in it."""

    height: float
    caption: str
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One line of a key. `mark` is "line", "patch", "dot" or "band"."""

    text: str
    colour: str
    mark: str = "line"
    style: Any = "-"
    width: float = 1.2
    edge: str | None = None
    area: float = 16.0
    """Of a dot, in points squared."""


class Sheet:
    """Collects axes and words in inches; `finish` makes the figure of them."""

    def __init__(self, width: float, look: Look) -> None:
        self.width, self.look = width, look
        self.figure = Figure(figsize=(width, 1.0), facecolor=look.theme.paper)
        FigureCanvasAgg(self.figure)
        self._placed: list[tuple[Axes | Text, tuple[float, float, float, float]]] = []

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        theme = self.look.theme
        axes = self.figure.add_axes((0.1, 0.1, 0.5, 0.5), facecolor=theme.paper)
        axes.tick_params(labelsize=SMALL, length=2, pad=1.5, width=0.6, colors=theme.ink, labelcolor=theme.ink)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set(edgecolor=theme.ink, linewidth=0.6)
        axes.xaxis.label.set(color=theme.ink, size=SMALL)
        axes.yaxis.label.set(color=theme.ink, size=SMALL)
        axes.xaxis.labelpad = axes.yaxis.labelpad = 2
        self._placed.append((axes, (left, top, width, height)))
        return axes

    def bare(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes without a frame whose coordinates are inches from their top left corner."""
        axes = self.axes(left, top, width, height)
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        return axes

    def text(self, left: float, top: float, words: str, **style: Any) -> None:
        style = {"va": "top", "color": self.look.theme.ink, "size": TEXT, **style}
        self._placed.append((self.figure.text(0, 0, words, **style), (left, top, 0, 0)))

    def finish(self, height: float, page: tuple[float, float] | None = None) -> Figure:
        """The figure of this height, or in the middle of a page (width, height) that is at least as large."""
        across, down = page or (self.width, height)
        x, y = (across - self.width) / 2, (down - height) / 2
        self.figure.set_size_inches(across, down)
        for placed, (left, top, wide, high) in self._placed:
            left, top = left + x, top + y
            if isinstance(placed, Axes):
                placed.set_position((left / across, 1 - (top + high) / down, wide / across, high / down))
            else:
                placed.set_position((left / across, 1 - top / down))
        return self.figure


@dataclass(frozen=True)
class Area:
    """A part of a sheet: so far from its left and top, so wide; how high is found by drawing."""

    sheet: Sheet = field(repr=False)
    left: float
    top: float
    width: float
    letter: str = ""

    @property
    def look(self) -> Look:
        return self.sheet.look

    def part(self, left: float, top: float, width: float) -> Area:
        """An area inside this one; its letter stays behind."""
        return replace(self, left=self.left + left, top=self.top + top, width=width, letter="")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        return self.sheet.axes(self.left + left, self.top + top, width, height)

    def bare(self, left: float, top: float, width: float, height: float) -> Axes:
        return self.sheet.bare(self.left + left, self.top + top, width, height)

    def words(self, top: float, words: str, *, left: float = 0.0, width: float | None = None, **style: Any) -> float:
        """Wrapped text; returns its height."""
        size = style.get("size", TEXT)
        width = self.width - left if width is None else width
        lines = wrapped(words, width, size)
        for index, line in enumerate(lines):
            self.sheet.text(self.left + left, self.top + top + index * LINE * size, line, **style)
        return len(lines) * LINE * size

    def heading(self, words: str) -> float:
        """The panel's letter and title; returns the height, with the gap below."""
        size = TEXT + 1.5
        indent = max(0.17, text_width(self.letter, size, "bold") + 0.07) if self.letter else 0.0
        if self.letter:
            self.sheet.text(self.left, self.top, self.letter, weight="bold", size=size)
        return self.words(0.012, words, left=indent) + 0.06

    def sentence(self, words: str, height: float = 0.5) -> float:
        """Said instead of a picture that cannot be drawn."""
        self.words(height / 3, words, size=TEXT, color=self.look.theme.soft)
        return height

    def key(self, top: float, entries: Iterable[Entry], *, left: float = 0.0) -> float:
        """A key that flows over lines; returns its height."""
        theme, sample, gap = self.look.theme, 0.19, 0.13
        entries = list(entries)
        places, x, y = [], 0.0, 0
        for entry in entries:
            wide = sample + text_width(entry.text, SMALL) + gap
            if x > 0 and x + wide - gap > self.width - left:
                x, y = 0.0, y + 1
            places.append((x, (y + 0.5) * LABEL))
            x += wide
        if not entries:
            return 0.0
        height = (y + 1) * LABEL
        axes = self.bare(left, top, self.width - left, height)
        for entry, (x, middle) in zip(entries, places, strict=True):
            if entry.mark == "line":
                axes.plot(
                    [x, x + 0.15], [middle] * 2, color=entry.colour, lw=entry.width, ls=entry.style, clip_on=False
                )
            elif entry.mark == "dot":
                axes.scatter([x + 0.075], [middle], s=entry.area, c=[entry.colour], edgecolors=entry.edge or "none",
                             linewidths=0.5, clip_on=False)  # fmt: skip
            else:
                alpha = 0.35 if entry.mark == "band" else 1.0
                axes.fill_between([x, x + 0.15], middle - 0.03, middle + 0.03, color=entry.colour, alpha=alpha, lw=0)
            axes.text(x + sample, middle, entry.text, va="center_baseline", size=SMALL, color=theme.ink)
        return height

    def colour_bar(
        self,
        left: float,
        top: float,
        width: float,
        label: str,
        cmap: Colormap,
        norm: Normalize,
        ends: Sequence[tuple[float, str]],
        mark: float | None = None,
    ) -> float:
        """A horizontal bar under its label, ticks (value, text) below, a thin mark at the base rate. Its height."""
        theme = self.look.theme
        self.words(top, label, left=left, width=10, size=SMALL)
        low, high = float(norm.vmin or 0), float(norm.vmax or 1)
        bar = self.axes(left, top + LABEL + 0.015, width, 0.065)
        values = np.linspace(low, high, 256)
        bar.imshow(cmap(norm(values))[None], aspect="auto", extent=(low, high, 0, 1), interpolation="nearest")
        bar.set_yticks([])
        bar.set_xticks([value for value, _ in ends], [text for _, text in ends], size=SMALL)
        for place, tick in zip(np.linspace(0, 1, len(ends)), bar.get_xticklabels(), strict=True):
            tick.set_horizontalalignment("left" if place == 0 else "right" if place == 1 else "center")
        bar.tick_params(length=1.2, pad=1)
        for spine in bar.spines.values():
            spine.set(visible=True, linewidth=0.4, edgecolor=theme.soft)
        if mark is not None and low < mark < high:
            bar.axvline(mark, color="white", lw=1.6)
            bar.axvline(mark, color="black", lw=0.7)
        return 2 * LABEL + 0.13
