"""The model's own evidence as methods, so that it is asked, scored and doubted like every other explanation.

`xai.evidence` keeps it whole (layers, heads, queries, points); here it is averaged into the maps that other methods
give: attention mass of the joints, of the frames, of the patches that the sampling points were read from, and the
ledger's exact parts of the score, and what the class token reads of each kind of token. Attention mass knows nothing
of the class that is asked about; the ledger does.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from model.framewise import FrameWise
from model.tap import points_tap
from xai.explanation import Explanation, MadeBy
from xai.framewise import framewise_flow, grid_of, listen, reads_whom
from xai.joints import joint_curves
from xai.ledger import ledger as ledger_of
from xai.methods import Method
from xai.question import Question
from xai.sampling import PatchTrace, sampling_points
from xai.temporal import temporal_windows
from xai.token_graph import corners
from xai.tokens import token_flow
from xai.trace import Trace

AS_METHODS = {
    "joint_curves": ("joint attention", "joints"),
    "sampling_points": ("sampling points", "frames"),
    "temporal_windows": ("temporal attention", "time"),
    "ledger": ("ledger", "time"),
}
"""Part of `xai.evidence.Evidence` -> the method that says the same as a map, and on what."""


def _traced(question: Question, trace: Trace | None = None) -> Trace:
    with trace or Trace() as trace:
        question.recognizer(question.clip, question.view)
    question.progress(1, 1)
    return trace


def _query(explanation: Explanation, query: str) -> int:
    """The number of the asked query; "auto" is the token of the class, or the first there is."""
    names = explanation.axes[explanation.axis("query")].labels
    if query == "auto":
        return next((names.index(name) for name in ("cls", "shared") if name in names), 0)
    if query not in names:
        raise ValueError(f"This network has no query {query!r} here; it has {', '.join(names)}.")
    return names.index(query)


def _layers(question: Question) -> int:
    return question.recognizer.network.config.layers


def joint_attention(question: Question, on: str, query: str = "auto") -> Explanation:
    """Attention mass of the joints in joint stride attention, averaged over layers and heads."""
    made_by = question.made_by("joint attention", query=query)
    people = max(1, question.seen.people)
    trace = _traced(question)
    curves = joint_curves(trace, question.layout, len(question.seen), people, _layers(question), made_by)
    assert curves is not None  # Method.needs
    chosen = _query(curves, query)
    values = curves.mean("layer", "head").values[chosen]
    base = np.broadcast_to(curves.base_rate, curves.values.shape).mean(axis=(0, 1))[chosen]
    return question.joint_map(
        values, made_by, curves.unit, base_rate=base.astype(np.float32), base_rate_of=curves.base_rate_of
    )


def sampled_patches(question: Question, on: str, query: str = "auto") -> Explanation:
    """Attention mass of the sampling points, given to the eight patches that each point was read from.

    `query`: a modal token, "auto" (that of the class), or any patch as "FRAME,X,Y": a frame that the model read, and a
    place in pixels of the clip.
    """
    made_by = question.made_by("sampling points", query=query)
    patch = re.fullmatch(r"(\d+),([\d.]+),([\d.]+)", query)
    asked = PatchTrace(question.view, int(patch[1]), float(patch[2]), float(patch[3])) if patch else Trace()
    trace = _traced(question, asked)
    points = sampling_points(trace, question.view, _layers(question), made_by)
    if points is None:
        raise ValueError("sampling points needs deformable attention, and this network attends to every patch.")
    chosen = 0 if patch else _query(points, query)
    mass = torch.from_numpy(points.values[:, :, chosen].mean(axis=(1, 2)))  # (layer, point)
    total, base = [], []
    for layer, received in enumerate(mass):
        tap = trace.points[points_tap(layer)]
        found = corners(tap.position[:1].cpu(), tap.volume)
        total.append(found.scatter(received).view(tap.volume))
        uniform = torch.full_like(received, float(points.base_rate[layer].item()))
        base.append(corners(tap.reference.cpu(), tap.volume).scatter(uniform).view(tap.volume))
    return question.pixel_map(
        torch.stack(total).mean(0),
        made_by,
        points.unit,
        stride=8,
        base_rate=torch.stack(base).mean(0).numpy(),
        base_rate_of="uniform attention over all keys, with no point moved",
    )


def temporal_attention(question: Question, on: str, query: str = "auto") -> Explanation:
    """Attention mass of the frames in temporal stride attention, averaged over layers, heads and query frames."""
    made_by = question.made_by("temporal attention", query=query)
    windows = temporal_windows(_traced(question), len(question.seen), _layers(question), made_by)
    assert windows is not None  # Method.needs
    chosen = _query(windows, query)
    base = np.broadcast_to(windows.base_rate, windows.values.shape)
    return question.frame_map(
        windows.values[:, :, chosen].mean(axis=(0, 1, 2)),
        made_by,
        windows.unit,
        base_rate=base[:, :, chosen].mean(axis=(0, 1, 2)).astype(np.float32),
        base_rate_of=windows.base_rate_of,
    )


def ledger(question: Question, on: str) -> Explanation:
    """The exact parts of the score: what each frame and token that the head pools adds to it."""
    made_by: MadeBy = question.made_by("ledger")
    whole = ledger_of(question.prediction, made_by)
    parts = whole.values[question.target]
    if question.against is not None:
        parts = parts - whole.values[question.against]  # (token, frame)
    question.progress(1, 1)
    # The bias belongs to no frame and no token: the parts are what the score has beyond it.
    prediction = question.prediction
    beyond = (prediction.logits - prediction.bias).astype(float)
    promised = beyond[question.target] - (0.0 if question.against is None else beyond[question.against])
    about: dict[str, Any] = {
        "companions": {"completeness": np.array([parts.sum(dtype=float), promised])},
        "base_rate": parts.mean() if on == "modal" else parts.sum(axis=0).mean(),
    }
    if on == "time":
        return question.frame_map(
            parts.sum(axis=0), made_by, "logit", base_rate_of="an even split over the frames", **about
        )
    return question.token_map(
        parts.T, prediction.slots, made_by, "logit", base_rate_of="an even split over frames and tokens", **about
    )


def flow(question: Question, on: str, query: str = "auto") -> Explanation:
    """What the readers of one kind give of their attention mass to each kind of token, averaged over the attentions
    that they take part in: the same in every frame. `query` is a kind of token; "auto" is that of the class.

    The base rate is the share of each kind among the keys: what readers get who do not choose.
    """
    made_by = question.made_by("token flow", query=query)
    if isinstance(question.recognizer.network, FrameWise):
        rows, columns = grid_of(question.recognizer, question.view)
        _, blocks = listen(question.recognizer, question.clip, question.view, reads_whom)
        question.progress(1, 1)
        whole = framewise_flow(blocks, 1 + rows * columns, made_by)
    else:
        whole = token_flow(_traced(question), _layers(question), made_by)
    readers, read = (whole.axes[whole.axis(name)].labels for name in ("reader", "read"))
    takes_part = [name for i, name in enumerate(readers) if np.isfinite(whole.values[:, :, i]).any()]
    if query == "auto":
        query = next(name for name in ("cls", "shared", *takes_part) if name in takes_part)
    if query not in takes_part:
        raise ValueError(f"This network has no reader {query!r}; it has {', '.join(takes_part)}.")
    mass, share = (rows[:, :, readers.index(query)].reshape(-1, len(read)) for rows in (whole.values, whole.base_rate))
    some = np.isfinite(mass).all(axis=1)
    frames = len(question.seen)
    return question.token_map(
        np.tile(mass[some].mean(axis=0), (frames, 1)), read, made_by, whole.unit,
        base_rate=np.tile(share[some].mean(axis=0), (frames, 1)), base_rate_of=whole.base_rate_of,
    )  # fmt: skip


METHODS = (
    Method(
        "joint attention", "evidence",
        "How much the class token reads each joint in joint stride attention, mean of blocks and heads.",
        "attention mass", ("joints",), "1 forward", joint_attention, needs=("joint", "joints"), signed=False,
    ),
    Method(
        "sampling points", "evidence", "How much the class token reads the places that the 3D token search chose.",
        "attention mass", ("frames",), "1 forward", sampled_patches, needs=("deformable",), signed=False,
    ),
    Method(
        "temporal attention", "evidence", "How much the class token reads each frame in temporal stride attention.",
        "attention mass", ("time",), "1 forward", temporal_attention, needs=("temporal",), signed=False,
    ),
    Method(
        "ledger", "evidence", "What each token of each frame adds to the score; the parts and the bias sum to it.",
        "logit", ("modal", "time"), "none", ledger,
    ),
    Method(
        "token flow", "evidence", "How much the class token reads of each kind: patches, points, joints, tokens.",
        "attention mass", ("parts",), "1 forward", flow, signed=False,
    ),
)  # fmt: skip
