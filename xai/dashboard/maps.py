"""Maps: an explanation as pictures on a page. Explanation + film -> images, one chart, a colour key and a sentence.

The scale is raw unless asked otherwise: the key names its ends in the unit of the method, and a map that is everywhere
about as strong as its base rate is not stretched to look like a finding. Per clip, values are divided by the largest
of the clip. Orange speaks for, purple against (PuOr); amounts are in viridis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from typing import Any

import cv2
import numpy as np
import plotly.graph_objects as go
from matplotlib import colormaps
from matplotlib.colors import Colormap

from xai.dashboard.colours import GREY, token_colour
from xai.dashboard.film import LARGE, STRIP, Film, Image, at, disc, draw_skeleton, line, outline
from xai.explanation import Explanation
from xai.known_cause import to_cells

RAMPS = {True: "PuOr_r", False: "viridis"}
STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


def digits(value: float, plus: bool = False) -> str:
    """Two significant digits, no minus zero."""
    if value == 0 or not np.isfinite(value):
        return "0" if value == 0 else "–"
    decimals = int(np.clip(1 - np.floor(np.log10(abs(value))), 0, 12))
    text = f"{value:.2e}" if abs(value) < 1e-4 else f"{value:.{decimals}f}"
    return ("+" if plus and value > 0 else "") + text.replace("-", "−")


@dataclass(frozen=True, eq=False)
class Map:
    """An explanation at the size at which it is shown: maps of single pixels are summed in cells of a token."""

    explanation: Explanation
    values: np.ndarray
    base: np.ndarray
    """What an uninformed map would give, of the same shape."""
    signed: bool

    @classmethod
    def of(cls, explanation: Explanation, signed: bool) -> Map:
        values = explanation.values
        base = np.broadcast_to(explanation.base_rate, values.shape)
        if explanation.kind == "pixel map":
            values, base = to_cells(explanation), to_cells(replace(explanation, values=base))
        return cls(explanation, values, base, signed or bool((values < 0).any()))

    @property
    def kind(self) -> str:
        return self.explanation.kind

    @property
    def summed(self) -> bool:
        return self.values.shape != self.explanation.values.shape

    @property
    def still(self) -> bool:
        """The same in every frame."""
        return len(self.values) > 1 and bool(np.allclose(self.values, self.values[:1]))

    @property
    def strongest(self) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unravel_index(int(np.argmax(self.values)), self.values.shape))

    def place(self, index: tuple[int, ...], film: Film) -> str:
        """Where an entry is, in words."""
        when = "" if self.still else f" in frame {film.number(index[0])}"
        if self.kind == "joint map":
            by_limb = self.explanation.by_limb and film.limbs
            name = film.limbs[film.limb_of[index[2]]] if by_limb else self.explanation.axes[2].labels[index[2]]
            who = f" of person {index[1] + 1}" if film.people > 1 else ""
            return f"{name}{who}{when}"
        if self.kind == "pixel map":
            x, y = self.centre(index)
            return f"pixel ({x:.0f}, {y:.0f}){when}"
        if self.kind == "token map":
            return f"{token_name(self.explanation.axes[1].labels[index[1]])}{when}"
        return f"frame {film.number(index[0])}"

    def centre(self, index: tuple[int, ...]) -> np.ndarray:
        """The middle of a cell, (x, y) in pixels of the clip."""
        box, (_, rows, columns) = self.explanation.companions["box"], self.values.shape
        along = (index[2] + 0.5) / columns * (box[1] - box[0]) + (index[1] + 0.5) / rows * (box[3] - box[0])
        return np.asarray(box[0] + along)


def token_name(token: str) -> str:
    return {"cls": "CLS", "rgb": "RGB"}.get(token, token)


@cache
def _ramp(name: str) -> Colormap:
    """`colormaps` hands out a new copy each time, which costs more than the colours."""
    return colormaps[name]


@dataclass(frozen=True)
class Scale:
    """What the ends of the colours stand for."""

    end: float
    """The value with the full colour, after division."""
    divisor: float
    signed: bool
    unit: str

    @classmethod
    def of(cls, maps: Sequence[Map], per_clip: bool) -> Scale:
        """One scale for maps that may be compared: of the same unit."""
        unit, signed = maps[0].explanation.unit, any(each.signed for each in maps)
        largest = max(float(np.abs(each.values).max(initial=0)) for each in maps)
        if per_clip:
            return cls(1.0, largest or 1.0, signed, f"{unit} / largest of the clip")
        least = 0.0 if signed else 2 * max(float(each.base.max(initial=0)) for each in maps)
        return cls(_round_up(max(largest, least)), 1.0, signed, f"{unit} (raw)")

    def part(self, values: np.ndarray) -> np.ndarray:
        """Values in -1 ... 1 (0 ... 1 for amounts)."""
        return np.clip(np.asarray(values) / self.divisor / self.end, -1 if self.signed else 0, 1)

    def colours(self, part: np.ndarray) -> np.ndarray:
        """[...] -> [..., 3] uint8."""
        colours = _ramp(RAMPS[self.signed])((part + 1) / 2 if self.signed else part)
        return np.rint(255 * np.asarray(colours)[..., :3]).astype(np.uint8)


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in STEPS if step * power >= value * (1 - 1e-9)))


# ---- Pictures -------------------------------------------------------------------------------------------------------


def picture(shown: Map, film: Film, t: int, scale: Scale, side: int, cause: bool = False) -> Image:
    """Frame t with the map on it; `cause` outlines what is known to decide the label."""
    image, zoom = film.picture(t, side), film.zoom(side)
    if shown.kind == "pixel map":
        image = _overlaid(image, shown, t, scale, zoom)
    else:
        image = np.rint(0.72 * image).astype(np.uint8)
        if shown.kind == "joint map":
            _joints(image, shown, film, t, scale, zoom)
        else:
            draw_skeleton(image, film, t, zoom)
            part = scale.part(shown.values[t].sum() if shown.kind == "token map" else shown.values[t])
            image[-max(4, side // 20) :] = scale.colours(part)
    if cause and film.cause is not None:
        outline(image, film.cause[t])
    return image


def pictures(shown: Map, film: Film, scale: Scale, cause: bool = False, side: int = STRIP) -> list[Image]:
    return [picture(shown, film, t, scale, side, cause) for t in range(len(film))]


def large_picture(shown: Map, film: Film, t: int, scale: Scale, cause: bool = False) -> Image:
    return picture(shown, film, t, scale, LARGE, cause)


def _overlaid(image: Image, shown: Map, t: int, scale: Scale, zoom: float) -> Image:
    """Colour over grey: opaque where the map is strong, so that a weak map is seen to be weak."""
    box, (_, rows, columns) = shown.explanation.companions["box"], shown.values.shape
    across, down = zoom * (box[1] - box[0]) / columns, zoom * (box[3] - box[0]) / rows
    matrix = np.column_stack([across, down, at(box[0], zoom) + (across + down) / 2])
    size = (image.shape[1], image.shape[0])
    spread = cv2.warpAffine(shown.values[t].astype(np.float32), matrix, size, flags=cv2.INTER_NEAREST)
    part = scale.part(spread)
    grey = 0.6 * cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] + 0.2 * image
    alpha = 0.88 * np.sqrt(np.abs(part))[..., None]
    return np.rint((1 - alpha) * grey + alpha * scale.colours(part)).astype(np.uint8)


def _joints(image: Image, shown: Map, film: Film, t: int, scale: Scale, zoom: float) -> None:
    """Grey bones, and discs whose colour and size are the value."""
    places, seen = at(film.joints[t], zoom), film.score[t] > 0
    radius = max(2.0, 0.011 * max(image.shape[:2]))
    for person in range(min(seen.shape[0], shown.values.shape[1])):
        for a, b in film.bones:
            if seen[person, a] and seen[person, b]:
                line(image, places[person, a], places[person, b], (205, 205, 205), 1)
        parts = scale.part(shown.values[t, person])
        for joint in sorted(np.flatnonzero(seen[person]), key=lambda j: abs(parts[j])):
            size = radius * (0.7 + 2.0 * np.sqrt(abs(parts[joint])))
            disc(image, places[person, joint], size, scale.colours(parts[joint]).tolist())


# ---- The colour key -------------------------------------------------------------------------------------------------

KEY_STYLE = """<style>
.map-key { display: grid; grid-template-columns: auto minmax(90px, 220px) auto 1fr; gap: 2px 8px; align-items: center;
  font-size: 12px; font-variant-numeric: tabular-nums; }
.map-key .ramp { position: relative; height: 10px; border-radius: 2px; }
.map-key .ramp i { position: absolute; top: -3px; bottom: -3px; width: 0; border-left: 2px dotted currentColor; }
.map-key .soft { opacity: 0.72; }
@media (max-width: 640px) { .map-key .soft { grid-column: 1 / -1; } }
</style>"""


def key_html(shown: Map, scale: Scale) -> str:
    """The ramp with its ends in the unit, and the base rate as a mark on it."""
    stops = np.linspace(-1 if scale.signed else 0, 1, 13)
    ramp = ", ".join(f"rgb({r},{g},{b})" for r, g, b in scale.colours(stops).tolist())
    low = digits(-scale.end) if scale.signed else "0"
    base = float(shown.base.mean()) / scale.divisor
    part = float(scale.part(np.array(base * scale.divisor)))
    left = 100 * ((part + 1) / 2 if scale.signed else part)
    what = f"{escape(scale.unit)}{', summed in cells of a token' if shown.summed else ''}"
    mean = "mean " if np.ptp(shown.base) > 0 else ""
    words = f"Dotted: {mean}base rate {digits(base)}, {escape(shown.explanation.base_rate_of)}"
    if scale.signed:
        what += "; orange speaks for, purple against"
    left_mark = f"left:{left:.1f}%"
    return (
        f'{KEY_STYLE}<div class="map-key"><span>{low}</span>'
        f'<span class="ramp" style="background: linear-gradient(90deg, {ramp})"><i style="{left_mark}"></i></span>'
        f'<span>{digits(scale.end, plus=scale.signed)}</span><span class="soft">{what}. {words}.</span></div>'
    )


def finding(shown: Map, film: Film) -> str:
    """What was measured, in one sentence; numbers are raw."""
    values, unit = shown.values, shown.explanation.unit
    if not np.abs(values).max(initial=0) > 0:
        return "This map is zero everywhere: nothing that was asked about moves the score."
    index = shown.strongest
    value, base = float(values[index]), float(shown.base[index])
    words = f"{digits(value, plus=shown.signed)} {unit}"
    least = tuple(int(i) for i in np.unravel_index(int(np.argmin(values)), values.shape))
    if not shown.signed:
        return f"Strongest: {shown.place(index, film)} ({words}; base rate {digits(base)})."
    said = f"Most for it: {shown.place(index, film)} ({words}; base rate {digits(base)})."
    if value <= 0:
        said = "Nothing speaks for it."
    if values[least] < 0:
        said += f" Most against it: {shown.place(least, film)} ({digits(float(values[least]))})."
    return said


# ---- The chart ------------------------------------------------------------------------------------------------------


def chart(shown: Map, film: Film, scale: Scale) -> go.Figure:
    """Joints x frames as a heat map, or bars; on the same scale as the pictures."""
    if shown.kind == "joint map":
        return _joint_chart(shown, film, scale)
    if shown.kind == "token map" and shown.still:
        names = [token_name(token) for token in shown.explanation.axes[1].labels]
        return _lying_bars(names, shown.values[0] / scale.divisor, shown.base[0] / scale.divisor, scale)
    figure = go.Figure()
    numbers = [film.number(t) for t in range(len(shown.values))]
    if shown.kind == "token map":
        for i, token in enumerate(shown.explanation.axes[1].labels):
            figure.add_bar(
                x=numbers, y=shown.values[:, i] / scale.divisor, name=token_name(token),
                marker_color=token_colour(token),
            )  # fmt: skip
        values, base = shown.values.sum(axis=1), shown.base.sum(axis=1)
    else:
        flat = tuple(range(1, shown.values.ndim))
        values, base = shown.values.sum(axis=flat), shown.base.sum(axis=flat)
        part = scale.part(shown.values) if not flat else np.clip(values / (np.abs(values).max() or 1), -1, 1)
        colours = [f"rgb({r},{g},{b})" for r, g, b in scale.colours(part).tolist()]
        error = None
        if {"low", "high"} <= set(shown.explanation.companions) and not flat:
            low, high = (np.asarray(shown.explanation.companions[name]) for name in ("low", "high"))
            if np.isfinite(low).all() and np.isfinite(high).all():
                error = {"array": (high - values) / scale.divisor, "arrayminus": (values - low) / scale.divisor,
                         "color": GREY, "thickness": 1}  # fmt: skip
        figure.add_bar(x=numbers, y=values / scale.divisor, marker_color=colours, error_y=error, showlegend=False)
    figure.add_scatter(
        x=numbers, y=base / scale.divisor, mode="lines", name="base rate", line={"color": GREY, "dash": "dot"}
    )
    what = "sum of the map" if shown.values.ndim > 1 else "value"
    figure.update_layout(
        height=240, margin={"l": 0, "r": 0, "t": 8, "b": 0}, barmode="relative", bargap=0.25,
        xaxis={"title": "frame", "dtick": 1, "showgrid": False},
        yaxis={"title": f"{what}, {scale.unit}", "zeroline": True, "zerolinecolor": GREY, "exponentformat": "e"},
        legend={"orientation": "h", "y": 1.12, "x": 0},
    )  # fmt: skip
    return figure


def _joint_chart(shown: Map, film: Film, scale: Scale) -> go.Figure:
    """Joints in the order of the body, of everybody who was seen; bars where nothing changes in time."""
    names = shown.explanation.axes[2].labels
    order = sorted(range(len(names)), key=lambda j: (film.limb_of[j], j)) if film.limb_of else range(len(names))
    seen = np.asarray((film.score > 0).any(axis=0))
    rows = [(m, j) for m in range(shown.values.shape[1]) for j in order if seen[m, j]]
    several = len({m for m, _ in rows}) > 1
    labels = [f"{names[j]} · {m + 1}" if several else names[j] for m, j in rows]
    values = np.array([shown.values[:, m, j] for m, j in rows]).reshape(len(rows), -1) / scale.divisor
    base = np.array([shown.base[:, m, j] for m, j in rows]).reshape(len(rows), -1) / scale.divisor
    there = np.array([film.score[:, m, j] > 0 for m, j in rows]).reshape(len(rows), -1)
    if shown.still:
        return _lying_bars(labels, values[:, 0], base[:, 0], scale, several)
    figure = go.Figure()
    figure.add_heatmap(
        z=np.where(there, values, np.nan), y=labels, customdata=base,
        x=[film.number(t) for t in range(values.shape[1])],
        colorscale=RAMPS[scale.signed], zmin=-scale.end if scale.signed else 0, zmax=scale.end, showscale=False,
        xgap=1, ygap=1,
        hovertemplate="%{y}, frame %{x}<br>%{z:.3g} (base rate %{customdata:.3g})<extra></extra>",
    )  # fmt: skip
    return _in_rows(figure, len(rows), several, "frame (colours as in the key)", dtick=1, showgrid=False)


def _lying_bars(
    names: Sequence[str], values: np.ndarray, base: np.ndarray, scale: Scale, dense: bool = False
) -> go.Figure:
    """One bar a name, for what is the same in every frame."""
    colours = [f"rgb({r},{g},{b})" for r, g, b in scale.colours(scale.part(values * scale.divisor)).tolist()]
    figure = go.Figure()
    figure.add_bar(x=values, y=list(names), orientation="h", marker_color=colours, showlegend=False)
    figure.add_scatter(
        x=base, y=list(names), mode="markers", name="base rate",
        marker={"symbol": "line-ns-open", "color": GREY, "size": 9},
    )  # fmt: skip
    return _in_rows(figure, len(names), dense, scale.unit, zeroline=True, zerolinecolor=GREY, exponentformat="e")


def _in_rows(figure: go.Figure, rows: int, dense: bool, title: str, **x: Any) -> go.Figure:
    figure.update_layout(
        height=60 + (13 if dense else 18) * max(4, rows), margin={"l": 0, "r": 0, "t": 8, "b": 0},
        xaxis={"title": title, **x},
        yaxis={"autorange": "reversed", "dtick": 1, "tickfont": {"size": 10 if dense else 11}},
        legend={"orientation": "h", "y": 1.08, "x": 0},
    )  # fmt: skip
    return figure
