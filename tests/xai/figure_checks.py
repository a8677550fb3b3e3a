"""Checks of figures shared by their tests: what is painted over what, and small maps with known values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from xai.explanation import Axis, Explanation, MadeBy
from xai.figures.paper import one_panel
from xai.figures.sheet import Area, Drawn
from xai.figures.style import Look

SIZE: dict[str, Any] = {"frames": 7, "height": 60, "width": 100, "layers": 2, "heads": 2, "grid": (2, 3, 4)}
"""Of `synthetic_evidence`."""


def map_of(kind: str, values: np.ndarray, trusted: Any = None, base: float = 0.0) -> Explanation:
    names = {"pixel map": ("frame", "y", "x"), "joint map": ("frame", "person", "joint"), "frame map": ("frame",)}
    axes = tuple(Axis(name) for name in names.get(kind, ("frame", "token")))
    if kind == "token map":
        axes = (Axis("frame"), Axis("token", ("cls", "rgb", "pose")))
    box = np.array([[-0.5, -0.5], [99.5, -0.5], [99.5, 59.5], [-0.5, 59.5]])
    about = MadeBy("0" * 16, "1" * 16, "some method", {"target": "golf", "against": "clap", "on": "here"})
    return Explanation(
        kind, values.astype(np.float32), axes, "change of the logit", about, np.array(base),
        "taking away one at random", companions={"box": box}, trust=trusted,
    )  # fmt: skip


def curves() -> dict[str, Any]:
    share, falling = np.linspace(0, 1, 6), np.linspace(2, -1, 6)
    found: dict[str, Any] = {"share": share.tolist(), "units": "joints", "gain": 1.0, "over_random": 0.5}
    for kind, line in (("deletion", falling), ("insertion", falling[::-1])):
        found |= {kind: line.tolist(), f"motion_{kind}": (line + 0.2).tolist(), f"random_{kind}": (line * 0.5).tolist()}
        found |= {f"random_{kind}_low": (line * 0.5 - 1).tolist(), f"random_{kind}_high": (line * 0.5 + 1).tolist()}
    return found | {"interval": [0.1, 0.9], "motion_gain": 0.2}


@contextmanager
def drawn_words() -> Iterator[list[Text]]:
    """The texts that are really painted while this is open, not those that matplotlib keeps for later."""
    seen: list[Text] = []
    original = Text.draw

    def draw(self: Text, renderer: Any, *rest: Any, **more: Any) -> Any:
        if self.get_text().strip() and self.get_visible():
            seen.append(self)
        return original(self, renderer, *rest, **more)

    Text.draw = draw  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        Text.draw = original  # type: ignore[method-assign]


def collisions(figure: Figure) -> list[str]:
    """Texts that lie over each other, over a picture or a chart, or outside the figure."""
    figure.set_dpi(150)
    with drawn_words() as words:
        figure.canvas.draw()
    assert len(words) > 3
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [(text.get_text(), text.get_window_extent(renderer).padded(-1.5)) for text in words]
    found = [f"{a!r} over {b!r}" for (a, box), (b, other) in combinations(boxes, 2) if box.overlaps(other)]
    found += [f"{text!r} outside" for text, box in boxes if box.x0 < -2 or box.y0 < -2
              or box.x1 > figure.bbox.x1 + 2 or box.y1 > figure.bbox.y1 + 2]  # fmt: skip
    charts = [axes.get_window_extent() for axes in figure.axes if axes.axison]
    loose = [(text.get_text(), text.get_window_extent(renderer).padded(-1.5)) for text in figure.texts]
    found += [f"{text!r} over a chart" for text, box in loose if any(box.overlaps(chart) for chart in charts)]
    framed = [axes.get_window_extent() for axes in figure.axes]
    solid = [box for box in framed if box.width > 4 and box.height > 4]
    return found + ["axes over axes" for a, b in combinations(solid, 2) if a.padded(-1).overlaps(b.padded(-1))]


def keep(drawn: list[Drawn], one: Drawn) -> Drawn:
    drawn.append(one)
    return one


def shown(draw: Callable[[Area], Drawn], width: float = 6.65, look: Look | None = None) -> tuple[Figure, Drawn]:
    drawn: list[Drawn] = []
    return one_panel(lambda area: keep(drawn, draw(area)), width, look or Look()), drawn[0]


def pixel(figure: Figure, axes: Axes, x: float, y: float) -> np.ndarray:
    """Colour [3] of the figure at a place in the coordinates of `axes`."""
    image = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
    column, row = axes.transData.transform((x, y))
    return image[round(image.shape[0] - 1 - row), round(column), :3].astype(int)
