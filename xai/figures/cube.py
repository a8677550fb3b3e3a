"""The (x, y, t) cube: where the points of one layer lie in the clip as a block of space and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from xai.figures.hues import MOVED, reach
from xai.figures.player import unpack


def cube_figure(
    reference: np.ndarray,
    place: np.ndarray,
    mass: np.ndarray,
    joints: np.ndarray,
    score: np.ndarray,
    bones: tuple[tuple[int, int], ...],
    size: tuple[int, int],
    *,
    keep: int = 150,
    base: float | None = None,
) -> go.Figure:
    """Sampled places with hairs to their references, and the skeletons, in one block.

    Args:
        reference, place: [P, 3] as (t, x, y); frames the model read, and pixels of the clip.
        mass: [P] attention mass of the chosen query; area of the dots. Only the `keep` heaviest points are drawn.
        joints: [T, M, J, 2], score: [T, M, J].
        size: (height, width) of the clip.
        base: mass that uniform attention would give every point, for the hover text.
    """
    order = np.argsort(-mass)[:keep]
    reference, place = (np.add(each, (1, 0, 0)) for each in (reference, place))  # readers count frames from 1
    shift = place[order, 0] - reference[order, 0]
    hairs = np.full((len(order) * 3, 3), np.nan)
    hairs[0::3], hairs[1::3] = reference[order], place[order]
    relative = mass[order] / max(float(mass.max()), 1e-12)
    most = reach(place[:, 0] - reference[:, 0])
    against = "" if base is None else f" ({base:.2g} if uniform)"
    figure = go.Figure()
    bone_lines = []
    for t in range(len(joints)):
        for person in range(joints.shape[1]):
            for a, b in bones:
                if score[t, person, a] > 0 and score[t, person, b] > 0:
                    bone_lines += [[t + 1, *joints[t, person, a]], [t + 1, *joints[t, person, b]], [np.nan] * 3]
    if bone_lines:
        lines = np.array(bone_lines)
        figure.add_scatter3d(
            x=lines[:, 1], y=lines[:, 0], z=lines[:, 2], mode="lines", name="skeleton", hoverinfo="skip",
            line={"color": "rgba(120,120,120,0.8)", "width": 3},
        )  # fmt: skip
    figure.add_scatter3d(
        x=hairs[:, 1], y=hairs[:, 0], z=hairs[:, 2], mode="lines", name="offset", hoverinfo="skip",
        line={"color": "rgba(120,120,120,0.5)", "width": 1.5},
    )  # fmt: skip
    figure.add_scatter3d(
        x=place[order, 1],
        y=place[order, 0],
        z=place[order, 2],
        mode="markers",
        name="sampled place",
        marker={
            "size": 3 + 9 * np.sqrt(relative),
            "color": shift,
            "colorscale": list(MOVED),
            "cmin": -most,
            "cmax": most,
            "opacity": 0.9,
            "line": {"width": 0.5, "color": "rgba(40,40,40,0.8)"},
            "colorbar": {"title": {"text": "frames from<br>its reference"}, "thickness": 10, "len": 0.7},
        },
        customdata=np.stack([mass[order], shift], axis=1),
        hovertemplate=(
            "x %{x:.0f} px, y %{z:.0f} px, frame %{y:.1f}<br>"
            f"attention mass %{{customdata[0]:.2g}}{against}<br>%{{customdata[1]:+.1f}} frames from its reference"
            "<extra></extra>"
        ),
    )
    height, width = size
    longest = max(height, width)
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        height=480,
        showlegend=False,
        uirevision="cube",
        scene={
            "xaxis": {"title": {"text": "x (px)"}, "range": [0, width]},
            "yaxis": {"title": {"text": "frame"}, "range": [0.5, len(joints) + 0.5]},
            "zaxis": {"title": {"text": "y (px)"}, "range": [height, 0]},
            "aspectmode": "manual",
            "aspectratio": {"x": width / longest, "y": 1.3, "z": height / longest},
            "camera": {"eye": {"x": 1.5, "y": -1.45, "z": 0.55}, "center": {"x": -0.07, "y": -0.07, "z": -0.12}},
        },
    )
    return figure


@dataclass(frozen=True, eq=False)
class CubeArrays:
    """The points of a player payload, unpacked: what the cube needs of any layer and query."""

    layers: int
    queries: tuple[str, ...]
    heads: int
    reference: np.ndarray
    """[layer, P, 3] (t, x, y)."""
    place: np.ndarray
    mass: np.ndarray
    """[layer, head, query, P]."""
    uniform: tuple[float, ...]
    joints: np.ndarray
    score: np.ndarray
    bones: tuple[tuple[int, int], ...]
    size: tuple[int, int]

    def of(self, layer: int, query: int) -> dict[str, Any]:
        """Arguments of `cube_figure` for one layer and query, mean of heads."""
        return {
            "reference": self.reference[layer],
            "place": self.place[layer],
            "mass": self.mass[layer, :, query].mean(0),
            "joints": self.joints,
            "score": self.score,
            "bones": self.bones,
            "size": self.size,
            "base": self.uniform[layer],
        }


def cube_arrays(payload: Mapping[str, Any]) -> CubeArrays | None:
    """Unpack the points of a player payload; None for a variant without a token search."""
    points, skeleton = payload["points"], payload["skeleton"]
    if points is None:
        return None
    mass = unpack(points["mass"])
    frames = payload["clip"]["frames"]
    return CubeArrays(
        layers=mass.shape[0],
        queries=tuple(points["queries"]),
        heads=mass.shape[1],
        reference=unpack(points["reference"]),
        place=unpack(points["place"]),
        mass=mass,
        uniform=tuple(points["uniform"]),
        joints=unpack(skeleton["place"]) if skeleton else np.zeros((frames, 0, 0, 2)),
        score=unpack(skeleton["score"]) if skeleton else np.zeros((frames, 0, 0)),
        bones=tuple((a, b) for a, b in skeleton["bones"]) if skeleton else (),
        size=(payload["clip"]["height"], payload["clip"]["width"]),
    )
