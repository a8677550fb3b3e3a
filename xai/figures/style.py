"""How figures for print look: themes, colours that every kind of colour vision tells apart, and sizes in inches.

Colour maps: viridis for amounts, PuOr for what lies on both sides of a middle (for and against). Hues of limbs, of
tokens and of displacement in time are those of the player (hues.py). Text is embedded as TrueType (Type 42).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import RLock
from typing import Any

from matplotlib import colormaps, rc_context
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from xai.figures import hues

FONT = "DejaVu Sans"
"""Comes with matplotlib, so that a figure measures the same everywhere."""
TEXT = 7.0
"""Points: headings, axes."""
SMALL = 6.0
"""Points: tick labels, keys. Nothing is smaller."""
LINE = 1.3 / 72
"""Inches of one line of text, for each point of its size."""
COLUMN_WIDTH = 3.25
PAGE_WIDTH = 6.75

STYLE: Any = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "kinescope",
    "font.family": FONT,
    "font.size": TEXT,
    "text.hinting": "none",
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
}

_ONE_AT_A_TIME = RLock()


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in `STYLE`, one thread at a time: matplotlib keeps its settings for the whole process, so a thread that
    ends its own context would change those of a figure that another is drawing.

    Only what draws belongs in here; what is drawn (passes of networks) is made before.
    """
    with _ONE_AT_A_TIME, rc_context(STYLE):
        yield


@dataclass(frozen=True)
class Theme:
    """Colours of paper, ink and marks."""

    name: str
    paper: str
    ink: str
    soft: str
    line: str
    """Grid lines."""
    unseen: str
    warning: str
    limbs: tuple[str, ...]
    """One hue a limb: head and torso, left arm, right arm, left leg, right leg."""
    tokens: Mapping[str, str]
    main: str
    """The curve that a panel is about."""
    other: str
    """What it is compared with."""
    for_: str
    against: str
    sides: Colormap
    """For what lies on both sides of a middle."""
    moved: Colormap
    """For displacement in time: earlier, not moved, later."""
    edge: str
    """Around a mark, so that it stands out from any frame."""


_MOVED = LinearSegmentedColormap.from_list("moved", hues.MOVED)
_NIGHT = LinearSegmentedColormap.from_list("night", ["#d3c3ff", "#7d62c9", "#1d1f24", "#c06d17", "#ffc574"])
"""Purple to orange through the dark of the paper."""
LIGHT = Theme(
    "light", paper="#ffffff", ink="#1a1a1a", soft="#5f5f5f", line="#d6d6d6", unseen="#e4e4e4", warning="#a33a00",
    limbs=hues.LIMBS["light"], tokens=hues.TOKENS["light"], main="#0072b2", other="#d55e00",
    for_="#b35806", against="#542788", sides=colormaps["PuOr_r"], moved=_MOVED, edge="#000000",
)  # fmt: skip
DARK = Theme(
    "dark", paper="#14161a", ink="#ededed", soft="#a8a8a8", line="#3d4149", unseen="#55585f", warning="#ffb27d",
    limbs=hues.LIMBS["dark"], tokens=hues.TOKENS["dark"], main="#56b4e9", other="#ff8a3d",
    for_="#f1a340", against="#a793d6", sides=_NIGHT, moved=_MOVED, edge="#ffffff",
)  # fmt: skip
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1, 1.5)))
"""Of named joints, in their order: joints of one limb share its hue, and the hues of the two legs are close."""


@dataclass(frozen=True)
class Look:
    """What a reader of a figure must know to compare it with another: its theme and its scale."""

    theme: Theme = LIGHT
    per_clip: bool = False
    """Amounts are divided by the largest one of the clip; otherwise they are shown as measured (raw)."""

    @property
    def scale(self) -> str:
        return "per clip" if self.per_clip else "raw"

    def scaled(self, unit: str, most: float) -> tuple[float, str]:
        """(what to divide by, the unit in words) for amounts whose largest is `most`."""
        return (most if most > 0 else 1.0, f"{unit} (per clip)") if self.per_clip else (1.0, f"{unit} (raw)")


@cache
def text_width(text: str, size: float = TEXT, weight: str = "normal") -> float:
    """Inches that one line of `text` takes."""
    if not text.strip():
        return len(text) * 0.32 * size / 72
    path = TextPath((0, 0), text, size=size, prop=FontProperties(family=FONT, weight=weight))
    return 1.02 * float(path.get_extents().x1) / 72  # rasters round glyphs to pixels


def wrapped(text: str, width: float, size: float = TEXT, first: float = 0.0) -> list[str]:
    """`text` in lines of at most `width` inches; the first is shorter by `first`. A longer word stands alone."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        room = width - (first if len(lines) == 1 else 0)
        if lines[-1] and text_width(longer, size) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def number(value: float) -> str:
    """Two digits that tell: 0.0072, 0.21, 3.4, 120. No exponent, no minus zero."""
    if value == 0 or abs(value) < 1e-12:
        return "0"
    if abs(value) >= 100 or abs(value) < 1e-4:
        return f"{value:.2g}" if abs(value) < 1e-4 or abs(value) >= 1e6 else f"{value:.0f}"
    text = f"{value:.2g}" if abs(value) < 10 else f"{value:.1f}"
    return text.replace("-", "−")


def percent(share: float) -> str:
    """'53 %', never broken over two lines."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
