"""Matplotlib figures for print: sampling points on the film strip, joint curves, the ledger. Evidence -> Figure.

Pure: no pyplot, no global state, so thirty sessions may draw at once. Text is embedded as TrueType (Type 42).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from xai.evidence import Evidence
from xai.explanation import Explanation

STYLE: Any = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
}
LIMB_COLOURS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""One hue a limb, told apart by every kind of colour vision (Okabe and Ito)."""
TOKEN_COLOURS = {
    "cls": "#0072b2", "rgb": "#e69f00", "pose": "#009e73", "shared": "#0072b2", "patches": "#e69f00",
    "joints": "#009e73",
}  # fmt: skip
TIME_MAP = "PuOr_r"
PAGE_WIDTH = 6.75


def draw_points(axes: Axes, evidence: Evidence, frame: int, mass: np.ndarray, layer: int, chosen: np.ndarray) -> None:
    """The chosen sampling points of one frame: dot at the place, hair to its reference, colour = frames away."""
    assert evidence.sampling_points is not None
    place = evidence.sampling_points.companions["place"][layer]
    reference = evidence.sampling_points.companions["reference"][layer]
    near = np.clip(1 - np.abs(place[:, 0] - frame), 0, 1) * chosen  # the weight with which this frame was read
    shown = near > 0.02
    hairs = np.stack([reference[shown, 1:], place[shown, 1:]], axis=1)
    shift = place[:, 0] - reference[:, 0]
    colour = _time_norm(len(evidence.clip))
    axes.add_collection(LineCollection(list(hairs), colors="white", linewidths=0.4, alpha=0.45))
    axes.scatter(
        place[shown, 1],
        place[shown, 2],
        s=2 + 22 * mass[shown] / max(mass.max(), 1e-12),
        c=shift[shown],
        cmap=TIME_MAP,
        norm=colour,
        alpha=near[shown],
        edgecolors="black",
        linewidths=0.2,
    )


def _time_norm(frames: int) -> Normalize:
    return TwoSlopeNorm(0, -max(1, frames / 2), max(1, frames / 2))


def draw_skeleton(axes: Axes, evidence: Evidence, frame: int, mass: np.ndarray | None, top: float) -> None:
    """Bones, and a disc a joint whose size and colour are its attention mass [M, J]; unseen joints are left out."""
    clip = evidence.clip
    for person in range(clip.people):
        seen = clip.score[frame, person] > 0
        joints = clip.joints[frame, person]
        bones = [(joints[a], joints[b]) for a, b in clip.layout.bones if seen[a] and seen[b]]
        axes.add_collection(LineCollection(bones, colors="white", linewidths=0.9, alpha=0.8))
        if mass is None:
            axes.scatter(joints[seen, 0], joints[seen, 1], s=3, c="white", linewidths=0)
            continue
        value = mass[person][seen]
        axes.scatter(
            joints[seen, 0],
            joints[seen, 1],
            s=2 + 16 * value / max(top, 1e-12),
            c=value,
            cmap="viridis",
            norm=Normalize(0, top),
            edgecolors="white",
            linewidths=0.3,
            zorder=3,
        )


def _frame(axes: Axes, evidence: Evidence, frame: int) -> None:
    axes.imshow(evidence.clip.frames[frame], interpolation="lanczos")
    axes.set_xlim(-0.5, evidence.clip.size[1] - 0.5)
    axes.set_ylim(evidence.clip.size[0] - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"{evidence.clip.time[frame]:.2f} s", pad=2)


def _query_mean(explanation: Explanation, query: str | None) -> np.ndarray:
    """Values without head and query axes: the mean over heads, and one named query or the mean over them."""
    values = explanation.mean("head").values
    axis = [a.name for a in explanation.axes if a.name != "head"].index("query")
    labels = explanation.axes[explanation.axis("query")].labels
    return values.mean(axis) if query is None else values.take(labels.index(query), axis)


def sampling_figure(evidence: Evidence, layer: int = -1, query: str | None = None, most: int = 48) -> Figure:
    """The paper's Fig. 5: film strip with skeleton and the `most` points of most mass."""
    frames = np.unique(np.linspace(0, len(evidence.clip) - 1, 6).round().astype(int))
    points, width = evidence.sampling_points, PAGE_WIDTH
    height, side = evidence.clip.size
    figure = Figure(figsize=(width, width / len(frames) * height / side + 0.75), layout="constrained")
    if points is None:
        figure.text(0.5, 0.5, "This variant has no 3D token search, so it has no sampling points.", ha="center")
        return figure
    layer = layer % points.values.shape[0]
    mass = _query_mean(points, query)[layer].mean(0)  # over query frames
    order = np.argsort(-mass)
    count = min(most, len(order))
    chosen = np.zeros(len(mass), bool)
    chosen[order[:count]] = True
    grid = figure.subplots(1, len(frames), squeeze=False)[0]
    curves = evidence.joint_curves
    joints = None if curves is None else _query_mean(curves, None)[layer % curves.values.shape[0]]
    for axes, frame in zip(grid, frames, strict=True):
        _frame(axes, evidence, frame)
        draw_skeleton(
            axes, evidence, frame, None if joints is None else joints[frame], 1 if joints is None else joints.max()
        )
        draw_points(axes, evidence, frame, mass, layer, chosen)
    bar = figure.colorbar(
        _time_map(len(evidence.clip)),
        ax=list(grid),
        orientation="horizontal",
        fraction=0.05,
        aspect=40,
        shrink=0.35,
        pad=0.02,
    )
    bar.outline.set_linewidth(0.4)
    bar.set_label("colour: frames from its reference (earlier, later); area: attention mass, per clip")
    who = query or "mean of " + ", ".join(points.axes[points.axis("query")].labels)
    figure.suptitle(
        f"{_headline(evidence)}   layer {layer + 1}, {who}, mean of heads: {count} of {len(mass)} points hold "
        f"{mass[chosen].sum() / mass.sum():.0%} of the mass on points ({mass.sum():.0%} of all mass)",
        fontsize=7, x=0.01, ha="left",
    )  # fmt: skip
    return figure


def _time_map(frames: int) -> ScalarMappable:
    return ScalarMappable(norm=_time_norm(frames), cmap=TIME_MAP)


def joints_figure(evidence: Evidence, layer: int = -1, query: str | None = None, person: int = 0) -> Figure:
    """The paper's Fig. 6: one curve a joint over frames, uniform level dotted, and the mass over uniform as a map."""
    figure = Figure(figsize=(PAGE_WIDTH, 2.6), layout="constrained")
    curves = evidence.joint_curves
    if curves is None or not evidence.clip.score.any():
        figure.text(
            0.5, 0.5, "No joints were given or joint attention is off, so there are no joint curves.", ha="center"
        )
        return figure
    layer = layer % curves.values.shape[0]
    layout = evidence.clip.layout
    mass = _query_mean(curves, query)[layer][:, person]  # (T, J)
    base = np.broadcast_to(curves.base_rate, curves.values.shape)[layer, 0, 0][:, person]
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    seen = evidence.clip.score[:, person] > 0
    # Windows hold different numbers of joints, so equal attention gives joints of small windows more: divide it out.
    ratio = np.where(seen, mass / np.maximum(base, 1e-12), np.nan)
    strength = np.nansum(np.where(seen, ratio, 0), 0) / np.maximum(seen.sum(0), 1)
    top = set(np.argsort(-strength)[:4].tolist())
    for joint, name in enumerate(layout.joints):
        colour = LIMB_COLOURS[layout.limb_of[joint] % len(LIMB_COLOURS)]
        line = np.where(seen[:, joint], mass[:, joint], np.nan)
        left.plot(
            line,
            color=colour,
            lw=1.3 if joint in top else 0.5,
            alpha=1 if joint in top else 0.5,
            label=name if joint in top else None,
        )
    left.plot(
        np.where(seen.any(1), np.nanmax(np.where(seen, base, np.nan), axis=1, initial=0), np.nan),
        ":",
        color="black",
        lw=0.8,
        label="uniform",
    )
    left.set_xlabel("frame that the model read")
    left.set_ylabel("attention mass (raw)")
    left.set_ylim(0, 1.35 * max(left.get_ylim()[1], 1e-6))
    left.legend(loc="upper left", ncols=3, fontsize=6)
    order = list(layout.window_order)
    norm = TwoSlopeNorm(1, 0, max(2.0, float(np.nanmax(ratio, initial=0))))
    image = right.imshow(ratio[:, order].T, aspect="auto", cmap="PuOr_r", norm=norm, interpolation="nearest")
    right.set_facecolor("#dddddd")  # not seen
    right.set_yticks(range(len(order)), [layout.joints[j] for j in order], fontsize=5.5)
    right.set_xlabel("frame that the model read")
    figure.colorbar(image, ax=right, label="attention mass over uniform")
    figure.suptitle(
        f"{_headline(evidence)}   layer {layer + 1}, joint stride attention, mean of heads",
        fontsize=7,
        x=0.01,
        ha="left",
    )
    return figure


def ledger_figure(evidence: Evidence, target: int | None = None) -> Figure:
    """The exact split of one logit over frames and tokens."""
    target = evidence.top if target is None else target
    ledger = evidence.ledger
    parts, bias = ledger.values[target], float(ledger.companions["bias"][target])
    figure = Figure(figsize=(PAGE_WIDTH, 2.0), layout="constrained")
    axes = figure.subplots()
    frames = np.arange(parts.shape[1])
    for sign in (1, -1):
        bottom = np.zeros(parts.shape[1])
        for slot, name in enumerate(ledger.axes[1].labels):
            value = np.where(np.sign(parts[slot]) == sign, parts[slot], 0)
            label = name if sign == 1 else None
            axes.bar(frames, value, 0.8, bottom=bottom, color=TOKEN_COLOURS.get(name, "grey"), label=label)
            bottom += value
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xticks(frames)
    axes.set_xlabel("frame that the model read")
    axes.set_ylabel("part of the logit")
    axes.legend(ncols=3, fontsize=6)
    axes.set_title(
        f"{_headline(evidence)}   logit of {evidence.labels[target]} {parts.sum() + bias:.2f} "
        f"= parts {parts.sum():.2f} + bias {bias:.2f}",
        loc="left", fontsize=7,
    )  # fmt: skip
    return figure


def _headline(evidence: Evidence) -> str:
    top = evidence.top
    return f"{evidence.labels[top]} ({evidence.probabilities[top]:.2f})"


FIGURES: Mapping[str, Callable[[Evidence], Figure]] = {
    "sampling_points": sampling_figure,
    "joint_curves": joints_figure,
    "ledger": ledger_figure,
}


def render(figure: Figure, kind: str, dpi: int = 300) -> bytes:
    """The figure as `png`, `pdf` or `svg`, with fonts embedded and no date, so that equal figures are equal files."""
    FigureCanvasAgg(figure)
    out = io.BytesIO()
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    with rc_context({**STYLE, "svg.hashsalt": "kinescope"}):
        figure.savefig(out, format=kind, dpi=dpi, metadata=metadata)
    return out.getvalue()


def save_figures(evidence: Evidence, folder: Path, kinds: tuple[str, ...] = ("png", "pdf")) -> list[Path]:
    """Write the three main pictures in every kind; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with rc_context(STYLE):
        for name, draw in FIGURES.items():
            figure = draw(evidence)
            for kind in kinds:
                path = folder / f"{name}.{kind}"
                path.write_bytes(render(figure, kind))
                written.append(path)
    return written
